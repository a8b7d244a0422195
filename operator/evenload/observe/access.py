"""How to sign in to a Prometheus, and which certificates to trust there: for the address it was given for alone.

All that is secret is in files, which are read again when somebody renews them. Nothing of what is in them is ever part
of a message: those name the file.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from evenload.errors import InputError
from evenload.kube.config import TokenFile, without

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS: Final = frozenset(
    {"authorization", "host", "content-length", "content-type", "transfer-encoding", "accept-encoding", "connection"}
)
_NO_HEADER_VALUE = "holds a line break, or a letter that a header cannot have"

Signature = tuple[tuple[int, int, int], ...]
"""Of files: when any of them is another, so is this."""


class Access:
    """See the module. Names of files may be "": there is none."""

    def __init__(
        self,
        *,
        token: Callable[[], str] | None = None,
        user: Callable[[], str] | None = None,
        password: Callable[[], str] | None = None,
        headers: Iterable[str] = (),
        headers_folder: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
    ) -> None:
        """`headers`: as in "X-Scope-OrgID: team-a"; `headers_folder`: a file a header, as a mounted Secret is.

        Raises InputError where this cannot be meant.
        """
        if token is not None and (user is not None or password is not None):
            raise InputError("Prometheus: a token and a password are given; give one of them")
        if (user is None) != (password is None):
            raise InputError("Prometheus: a user name and a password belong together; give both")
        if bool(cert_file) != bool(key_file):
            raise InputError("Prometheus: a client certificate and its key belong together; give both files")
        self._token, self._user, self._password = token, user, password
        self._headers = dict(map(_header, headers))
        self._folder = Path(headers_folder) if headers_folder else None
        self._ca, self._cert, self._key = ca_file, cert_file, key_file
        self._context: ssl.SSLContext | None = None
        self._signature: Signature = ()
        self._sent: list[str] = []  # secrets

    def headers(self) -> dict[str, str]:
        """Of a request, as of now. Raises InputError naming the file that cannot be used."""
        secret = dict(self._of_folder())
        sent = list(secret.values())
        if self._token is not None:
            token = _sendable(self._token(), "the token")
            secret["Authorization"] = f"Bearer {token}"
            sent.append(token)
        if self._user is not None and self._password is not None:
            password = self._password()
            pair = base64.b64encode(f"{self._user()}:{password}".encode()).decode()
            secret["Authorization"] = f"Basic {pair}"
            sent += [pair, password]
        self._sent = sent
        return self._headers | secret

    def unsigned(self, text: str) -> str:
        """`text` without the secrets that were last sent."""
        return without(text, self._sent)

    def tls(self) -> ssl.SSLContext:
        """One until its files change. Raises InputError naming the file."""
        signature = self._signed()
        if self._context is None or signature != self._signature:
            try:
                self._context, self._signature = self._loaded(), signature
            except InputError:
                if self._context is None:
                    raise  # else the files are being replaced: the last ones go on
        return self._context

    def check(self) -> None:
        """Raises InputError if it could not be used now."""
        self.headers()
        self.tls()

    def _of_folder(self) -> Iterator[tuple[str, str]]:
        if self._folder is None:
            return
        try:
            for path in sorted(self._folder.iterdir()):
                if not path.name.startswith(".") and path.is_file():  # a mounted Secret has ..data beside its keys
                    yield _name(path.name, str(path)), _sendable(path.read_text().strip(), str(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise InputError(f"headers for Prometheus: {self._folder}: {reason}; is it mounted?") from None

    def _signed(self) -> Signature:
        return tuple(_stat(name) for name in (self._ca, self._cert, self._key) if name)

    def _loaded(self) -> ssl.SSLContext:
        context = create_urllib3_context()
        try:
            context.load_verify_locations(self._ca or DEFAULT_CA_BUNDLE_PATH)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"certificates for Prometheus: {self._ca}: {_why(error)}") from None
        if self._cert:
            try:
                # A passphrase would be asked for at a terminal: rather none, which fails.
                context.load_cert_chain(self._cert, self._key, password=lambda: b"")
            except (OSError, ssl.SSLError) as error:
                raise InputError(f"certificate for Prometheus: {self._cert}, {self._key}: {_why(error)}") from None
        return context


def from_files(
    *,
    token_file: str = "",
    username: str = "",
    username_file: str = "",
    password_file: str = "",
    **options: object,
) -> Access:
    """An Access whose secrets are in these files. Raises InputError where that cannot be meant."""
    user = TokenFile(username_file) if username_file else (lambda: username) if username else None
    return Access(
        token=TokenFile(token_file) if token_file else None,
        user=user,
        password=TokenFile(password_file) if password_file else None,
        **options,  # type: ignore[arg-type]
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise InputError("headers for Prometheus: write each as in X-Scope-OrgID: team-a")
    return _name(name.strip(), "headers for Prometheus"), _sendable(value.strip(), f"the header {name.strip()}")


def _name(name: str, where: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise InputError(f"{where}: not the name of a header; use letters, digits and -")
    if name.lower() in _OURS:
        raise InputError(f"{where}: the header {name} is not to be set; a token, or a user and a password, sign in")
    return name


def _sendable(value: str, where: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise InputError(f"{where} {_NO_HEADER_VALUE}")
    return value


def _stat(name: str) -> tuple[int, int, int]:
    try:
        found = Path(name).stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "not in the PEM format, not readable without a passphrase, or not of this key"
    return error.strerror or type(error).__name__
