"""Writes install.yaml: the chart with its defaults, for those who do not use Helm. One source, two ways to install.

`python -m manifests.generate` writes it, `--check` says whether it is in step with the chart. Needs helm: the one on
PATH, or the lab's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from lab import build, parts

REPOSITORY = Path(__file__).parents[1]
INSTALL = REPOSITORY / "manifests/install.yaml"
NAMESPACE = "evenload"
HEADER = f"""\
# Generated from charts/evenload with its default values by `python -m manifests.generate`: do not edit.
# It observes: it has no right to change anything of yours. `kubectl apply -f manifests/` installs it.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def install_yaml(helm: str) -> str:
    """The text of install.yaml."""
    options = ["--namespace", NAMESPACE, "--skip-tests"]
    command = [helm, "template", "evenload", str(REPOSITORY / "charts/evenload"), *options]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [line for line in rendered.splitlines() if not line.startswith("# Source: ") and line.strip()]
    return HEADER + "\n".join(lines) + "\n"


def find_helm() -> str:
    """The helm on PATH, or the lab's, fetched once."""
    found = shutil.which("helm")
    if found:
        return found
    build.ensure(("helm",))
    return str(parts.folder("helm") / "helm")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m manifests.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where it is out of step")
    options = parser.parse_args(arguments)
    text = install_yaml(find_helm())
    if not options.check:
        INSTALL.write_text(text)
        return 0
    if INSTALL.is_file() and INSTALL.read_text() == text:
        return 0
    sys.stderr.write("manifests/install.yaml is out of step with the chart: run `python -m manifests.generate`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
