#!/bin/sh
# Makes the project's virtual environment outside the checkout, once per set of pinned dependencies and Python version.
# Prints its path last on standard output; everything else goes to standard error. Safe to interrupt and to run twice at once.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/evenload

die() { echo "setup: $*" >&2; exit 1; }

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || die "$python is not installed; on Debian or Ubuntu: apt-get install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed, $python is $("$python" -V 2>&1)"

# The interpreter's path is part of the key: a virtual environment is bound to it.
key=$( (cat "$here/constraints.txt"; "$python" -c 'import sys; print(sys.version, sys.base_prefix)') | sha256sum | cut -c1-16)
venv=$cache/venv-$key
[ "${1:-}" = --path ] && { echo "$venv"; exit 0; }
[ -e "$venv/complete" ] && { echo "$venv"; exit 0; }

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || die "this Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv"
  echo "setup: installing python3-venv" >&2
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv; } >&2
fi

mkdir -p "$cache"
exec 9>"$cache/setup.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
  echo "setup: installing the pinned dependencies into $venv (about a minute the first time)" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  "$venv/bin/pip" install --disable-pip-version-check --progress-bar off --require-hashes -qr "$here/constraints.txt" >&2
  touch "$venv/complete"
fi
echo "$venv"
