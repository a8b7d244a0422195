"""The API server, as this person may use it: kubeconfig, context, sign-in and impersonation as kubectl has them.

The official `kubernetes` package signs in and speaks HTTP; it is imported with the first command that needs a cluster,
so that `evenload --help` is quick. Every failure comes out as an `evenload.errors.KubeError` whose message says what to
do next.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from evenload.cli import kubeconfig
from evenload.cli.commands import carry, evenload
from evenload.errors import Conflict, InputError, KubeError, NotFound, Refused, Unavailable, Unknown
from evenload.kube.resources import Manifest, Resource

PAGE: Final = 500
TIMEOUT_SECONDS: Final = (5.0, 20.0)
"""To connect, and for the answer: a person is waiting."""
WATCH_SECONDS: Final = 120
_HOME: Final = "~/.kube/config"
_NO_SUCH_FIELD: Final = "field not declared in schema"
"""What the API server says, with status 500, to an applied object with a field that its kind does not have."""
_SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Access(NamedTuple):
    """How to reach the cluster: kubectl's flags."""

    context: str | None = None
    kubeconfig: str | None = None
    as_user: str | None = None
    namespace: str | None = None


class Rehearsal(NamedTuple):
    """What the API server would hold, and what it warned of."""

    manifest: Manifest
    warnings: tuple[str, ...]


class Cluster:
    """A signed-in connection, and the namespace that commands are about."""

    def __init__(self, api: Any, namespace: str, as_user: str | None = None) -> None:
        self._api = api
        self.namespace = namespace
        self._user = ""
        if as_user:
            api.set_default_header("Impersonate-User", as_user)

    @property
    def server(self) -> str:
        return str(self._api.configuration.host)

    def within(self, namespace: str) -> Cluster:
        """The same connection, for commands about that namespace."""
        other = Cluster(self._api, namespace)
        other._user = self._user
        return other

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest:
        """One object. Raises NotFound, naming how to list those there are."""
        where = namespace or self.namespace
        try:
            return self.read(resource.path(where, name))
        except NotFound as error:
            raise _not_found(resource, name, where, error) from error

    def every(self, resource: Resource, *, everywhere: bool = False, selector: str | None = None) -> list[Manifest]:
        """All objects of the namespace, or of all of them. Items carry their kind, as `get` gives it."""
        return list(self.stream(resource, everywhere=everywhere, selector=selector))

    def stream(
        self, resource: Resource, *, everywhere: bool = False, selector: str | None = None
    ) -> Iterator[Manifest]:
        """The same, page by page."""
        path = resource.path(None if everywhere else self.namespace)
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        try:
            for page in self._pages(path, selector):
                yield from ({**kind, **item} for item in page)
        except NotFound as error:
            raise _not_installed(resource, error) from error

    def create(self, path: str, body: Mapping[str, object]) -> Manifest:
        """POST: used for reviews, which change nothing."""
        return self._call("POST", path, body, "application/json")

    def watch(self, resource: Resource, *, everywhere: bool = False) -> Iterator[Manifest]:
        """Each change from now on, until the API server ends it, which it does within minutes. Raises KubeError."""
        from kubernetes.client import ApiException, CustomObjectsApi
        from kubernetes.watch import Watch
        from urllib3.exceptions import HTTPError

        # From now on: without a version each object there is would be told first, recordings and all.
        now = self.read(f"{resource.path(None if everywhere else self.namespace)}?limit=1")["metadata"]
        custom = CustomObjectsApi(self._api)
        listing, where = (
            (custom.list_cluster_custom_object, {})
            if everywhere
            else (custom.list_namespaced_custom_object, {"namespace": self.namespace})
        )
        kind = {"group": resource.group, "version": resource.version, "plural": resource.plural}
        try:
            yield from Watch().stream(  # type: ignore[no-untyped-call]
                listing,
                **kind,
                **where,
                resource_version=now["resourceVersion"],
                timeout_seconds=WATCH_SECONDS,
                _request_timeout=(TIMEOUT_SECONDS[0], 2 * WATCH_SECONDS),
            )
        except (HTTPError, ApiException) as error:
            raise self._unreachable("GET", error) from error

    def add(self, resource: Resource, body: Mapping[str, object], namespace: str) -> Manifest:
        """Create an object; what the API server then holds. With generateName a lost answer may leave one behind."""
        return self._call("POST", f"{resource.path(namespace)}?fieldManager=evenload-cli", body, "application/json")

    def merge(
        self, resource: Resource, name: str, body: Mapping[str, object], namespace: str | None = None
    ) -> Manifest:
        """A JSON merge patch. Raises Conflict where `body` has a resourceVersion and somebody was quicker."""
        where = namespace or self.namespace
        path = f"{resource.path(where, name)}?fieldManager=evenload-cli"
        return self._call("PATCH", path, body, "application/merge-patch+json")

    def rehearse(
        self, resource: Resource, name: str, body: Mapping[str, object], namespace: str, manager: str
    ) -> Rehearsal:
        """Server-side apply as a dry run: validation, defaults and admission answer, and nothing is stored.

        Raises Refused with the API server's words where it would not take the object.
        """
        query = {"dryRun": "All", "fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        path = f"{resource.path(namespace, name)}?{urlencode(query)}"
        headers = {"Accept": "application/json", "Content-Type": "application/apply-patch+yaml"}
        try:
            status, text, answered = self._exchange("PATCH", path, headers, json.dumps(body))
        except Unknown as error:  # nothing can have landed
            raise Unavailable(f"a dry run was sent to {self.server} and no answer came. Try again") from error
        if status >= 500 and _NO_SUCH_FIELD in _message(text):
            raise Refused(f"refused: {_message(text)}", status=status)
        if status >= 400:
            raise _refusal(status, text, "GET")
        return Rehearsal(self._parsed(text), tuple(_warning(each) for each in answered.getlist("Warning")))

    def read(self, path: str) -> Manifest:
        """GET any path."""
        return self._call("GET", path)

    def user(self) -> str:
        """Who the API server says we are (the impersonated user with --as); asked once."""
        self._user = self._user or self._ask_who()
        return self._user

    def _ask_who(self) -> str:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        review = self.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
        name = review.get("status", {}).get("userInfo", {}).get("username", "")
        if not name:
            raise Refused("the API server does not say who you are: are you signed in? See: kubectl auth whoami")
        return str(name)

    def _pages(self, path: str, selector: str | None) -> Iterator[list[Manifest]]:
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = self.read(f"{path}?{urlencode(query)}")
            yield page.get("items", [])
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, content_type: str | None = None
    ) -> Manifest:
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        status, text, _ = self._exchange(method, path, headers, body)
        if status >= 400:
            raise _refusal(status, text, method)
        return self._parsed(text)

    def _parsed(self, text: bytes) -> Manifest:
        try:
            answer: Manifest = json.loads(text)
        except ValueError as error:
            raise Unavailable(
                f"{self.server} answered something that is not JSON: is this a Kubernetes API server?"
            ) from error
        return answer

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: Mapping[str, object] | str | None
    ) -> tuple[int, bytes, Any]:
        """Status, body and headers of the answer."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            request = self._api.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            response = self._api.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            return response.status, response.read(), response.headers
        except (HTTPError, ApiException) as error:
            raise self._unreachable(method, error) from error

    def _unreachable(self, method: str, error: Exception) -> KubeError:
        reason = _reason(error)
        if method == "PATCH" and not _never_sent(error):
            return Unknown(
                f"the change was sent to {self.server} and no answer came ({reason}): it may have landed. "
                f"Look before you try again: {evenload('history', namespace=self.namespace)}"
            )
        return Unavailable(
            f"cannot reach the API server {self.server}: {reason}. Is the cluster up, and is it the one you mean? "
            "See: kubectl config current-context"
        )


def connect(access: Access) -> Cluster:
    """Signed in as kubectl would. Raises InputError naming what is wrong with the configuration."""
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException

    carry({"--context": access.context, "--kubeconfig": access.kubeconfig, "--as": access.as_user})
    configuration = Configuration()
    configuration.retries = False
    try:
        namespace = _load(configuration, access)
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise InputError(_no_configuration(access, error)) from error
    return Cluster(ApiClient(configuration), access.namespace or namespace or "default", access.as_user)


def _load(configuration: Any, access: Access) -> str | None:
    """Fill `configuration`; the namespace that the context or the service account names."""
    from kubernetes.config import list_kube_config_contexts, load_incluster_config, load_kube_config

    if _in_cluster(access):
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return _SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    # The package reads KUBECONFIG once, when it is imported: we cannot rely on that.
    file = access.kubeconfig or os.environ.get("KUBECONFIG")
    kubeconfig.check(file or _HOME)
    load_kube_config(file, access.context, configuration)  # type: ignore[no-untyped-call]
    contexts, active = list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
    chosen = next((each for each in contexts if each["name"] == access.context), active)
    namespace: str | None = chosen["context"].get("namespace")
    return namespace


def _in_cluster(access: Access) -> bool:
    """As kubectl: a kubeconfig wins over the pod's service account."""
    named = access.kubeconfig or access.context or os.environ.get("KUBECONFIG")
    return not named and "KUBERNETES_SERVICE_HOST" in os.environ and not Path(_HOME).expanduser().exists()


def _no_configuration(access: Access, error: Exception) -> str:
    path = access.kubeconfig or os.environ.get("KUBECONFIG") or _HOME
    return (
        f"kubeconfig {path}: {str(error).rstrip('.')}. Name a file with --kubeconfig or KUBECONFIG and a context with "
        "--context; see: kubectl config get-contexts"
    )


def _never_sent(error: Exception) -> bool:
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    return isinstance(error, (NewConnectionError, ConnectTimeoutError)) or getattr(error, "status", None) == 0


def _reason(error: Exception) -> str:
    """The library's words without its objects: "Connection refused", not "<...HTTPSConnection object at 0x..."."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

    if isinstance(error, NewConnectionError):  # first: it is a ConnectTimeoutError as well
        return str(error.__cause__ or error)
    if isinstance(error, (ConnectTimeoutError, ReadTimeoutError)):
        return "no answer in time"
    inner = next((each for each in error.args if isinstance(each, Exception)), None)
    return str(getattr(error, "reason", None) or inner or error).replace("\n", " ")


def _refusal(status: int, text: bytes, method: str) -> KubeError:
    message = _message(text) or f"HTTP status {status}"
    match status:
        case 401:
            return Refused(f"not signed in: {message}. Renew your credentials; try: kubectl auth whoami", status=status)
        case 403:
            return Refused(f"not allowed: {message}. See: kubectl auth can-i --list", status=status)
        case 404:
            return NotFound(message, status=status)
        case 409:
            return Conflict(f"somebody changed it in the meantime: {message}. Look again and repeat", status=status)
        case 429:
            return Unavailable(f"the API server is busy: {message}. Try again in a few seconds", status=status)
        case _ if status >= 500 and method == "PATCH":
            return Unknown(f"the API server failed and may have made the change: {message}. Look again", status=status)
        case _ if status >= 500:
            return Unavailable(
                f"the API server failed: {message}. Try again; then: kubectl get --raw /readyz", status=status
            )
        case _:
            return Refused(f"refused: {message}", status=status)


def _warning(header: str) -> str:
    """The text of a Warning header (RFC 7234): 299 - "text"."""
    _, _, quoted = header.partition('"')
    text = quoted.rpartition('"')[0]
    return re.sub(r"\\(.)", r"\1", text) if text else header


def _message(text: bytes) -> str:
    """The message of a metav1.Status, or the first line of whatever else came."""
    try:
        status = json.loads(text)
        return str(status.get("message") or "")
    except (ValueError, AttributeError):
        return text.decode(errors="replace").strip().partition("\n")[0][:200]


def _not_found(resource: Resource, name: str, namespace: str, error: NotFound) -> NotFound:
    if "could not find the requested resource" in str(error) or "page not found" in str(error):
        return _not_installed(resource, error)
    lister = {"Balancer": "get", "Remediation": "history"}.get(resource.kind)
    hint = f"; see those there are: {evenload(lister, namespace=namespace)}, or with -A everywhere" if lister else ""
    return NotFound(f'{resource.kind} "{name}" is not in namespace "{namespace}"{hint}', status=404)


def _not_installed(resource: Resource, error: NotFound) -> NotFound:
    return NotFound(
        f"this cluster has no {resource.plural}.{resource.group} ({error}): is it installed there? "
        f"Run: {evenload('check')}",
        status=404,
    )
