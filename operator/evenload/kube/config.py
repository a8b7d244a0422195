"""How to reach the API server, and as whom: found by the official `kubernetes` package, kept as three plain values.

Certificates are always verified: a kubeconfig that asks not to is refused. Credentials are never part of a repr.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from evenload.errors import InputError

TOKEN_LIFE_SECONDS: Final = 60.0
"""A projected token is replaced at 80% of its hour, so a minute-old copy is always good."""


SHORTEST_SECRET: Final = 4  # a shorter one would be found all over a sentence


def without(text: str, secrets: Iterable[str]) -> str:
    """What a server said, without what we signed in with: some that are asked with a wrong token repeat it."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "(removed)")
    return text


class TokenFile:
    """A bearer token in a file that somebody else renews; calling it gives one at most a minute old."""

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path)
        self._clock = clock
        self._token = ""
        self._read_at: float | None = None

    def __call__(self) -> str:
        """Raises InputError naming the file, if there never was a token in it; a later failure keeps the last one."""
        if self._read_at is None or self._clock() - self._read_at >= TOKEN_LIFE_SECONDS:
            self._read()
        return self._token

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"

    def _read(self) -> None:
        try:
            self._token = self._path.read_text().strip() or self._token
        except OSError as error:
            if not self._token:
                raise InputError(f"token file {self._path}: {error.strerror}; is it mounted?") from error
        if not self._token:
            raise InputError(f"token file {self._path} is empty")
        self._read_at = self._clock()


class Connection:
    """The API server's address, the TLS context that verifies it (None: plain HTTP), and who we are."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        authorization: Callable[[], str | None] = lambda: None,
        server_name: str | None = None,
        proxy: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.tls = tls
        self.authorization = authorization
        self.server_name = server_name
        self.proxy = proxy
        self._sent = ""

    def headers(self) -> dict[str, str]:
        """The Authorization header, read afresh: tokens are renewed while we run."""
        value = self.authorization()
        if not value:
            return {}
        self._sent = value.rpartition(" ")[2]
        return {"Authorization": value}

    def unsigned(self, text: str) -> str:
        """`text` without what we last signed in with."""
        return without(text, [self._sent])

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"


def load(
    kubeconfig: str | None = None, context: str | None = None, environment: Mapping[str, str] = os.environ
) -> Connection:
    """What kubectl would use: `kubeconfig`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises InputError with what is missing.
    """
    named = kubeconfig or environment.get("KUBECONFIG")
    if not named and environment.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster()
    return _from_kubeconfig(named, context)


# The official package costs 36 MB and 0.3 s: it is imported by those who call, not by those who import us.


def _in_cluster() -> Connection:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, incluster_config

    configuration = Configuration()
    try:
        incluster_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise InputError(f"the pod's service account cannot be used: {error}") from error
    token = TokenFile(incluster_config.SERVICE_TOKEN_FILENAME)
    return Connection(configuration.host, tls=_tls(configuration), authorization=lambda: f"Bearer {token()}")


def _from_kubeconfig(path: str | None, context: str | None) -> Connection:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        load_kube_config(path, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise InputError(f"kubeconfig {path or '~/.kube/config'}: {error}") from error
    return Connection(
        configuration.host,
        tls=_tls(configuration) if configuration.host.startswith("https") else None,
        authorization=lambda: _api_key(configuration),
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
    )


def _api_key(configuration: Any) -> str | None:
    value: str | None = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    return value


def _tls(configuration: Any) -> ssl.SSLContext:
    if not configuration.verify_ssl:
        raise InputError("kubeconfig: insecure-skip-tls-verify is not supported; give certificate-authority instead")
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
