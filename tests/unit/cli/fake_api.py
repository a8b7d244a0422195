"""A tiny API server on a real socket: objects by path, merge patches with a precondition, reviews, and bad days."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Manifest = dict[str, Any]
GROUP = "/apis/evenload.dev/v1alpha1"


class FakeApi:
    """What the server holds, what it was asked, and whom it takes the caller for."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.documents: dict[str, Manifest] = {}
        self.refusals: dict[tuple[str, str], tuple[int, str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.user = "jane"
        self.allowed: Callable[[Manifest], bool] = lambda spec: True
        self.port = 0
        self.cut_after: str | None = None  # a method whose answers never arrive
        self.served = {"balancers", "remediations", "deployments"}  # what may be listed
        self.warnings: list[str] = []  # of dry runs
        self.applied: list[dict[str, list[str]]] = []  # with what query dry runs came

    def put(self, path: str, manifest: Manifest) -> None:
        """Hold `manifest` at `path`, with a resourceVersion."""
        manifest["metadata"].setdefault("resourceVersion", "1")
        self.objects[path] = manifest

    def put_balancer(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.put(f"{GROUP}/namespaces/{metadata['namespace']}/balancers/{metadata['name']}", manifest)

    def put_remediation(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.put(f"{GROUP}/namespaces/{metadata['namespace']}/remediations/{metadata['name']}", manifest)

    def refuse(self, method: str, path: str, status: int, message: str) -> None:
        self.refusals[(method, path)] = (status, message)

    def writes(self) -> list[tuple[str, str]]:
        """Without the reviews, which change nothing."""
        return [(method, path) for method, path in self.requests if method != "GET" and not path.endswith("reviews")]

    def answer(self, method: str, target: str, body: Manifest, headers: dict[str, str]) -> tuple[int, Manifest]:
        address = urlsplit(target)
        path, query = address.path, parse_qs(address.query)
        self.requests.append((method, path))
        if (method, path) in self.refusals:
            status, message = self.refusals[(method, path)]
            return _status(status, message)
        match method:
            case "POST" if path.startswith(GROUP):
                return 201, self._create(path, body)
            case "POST":
                return 201, self._review(path, body, headers)
            case "PATCH" if "dryRun" in query:
                self.applied.append(query)
                return 200, _merged(self.objects.get(path, {}), body)
            case "PATCH":
                return self._patch(path, body)
            case _:
                return self._get(path, query)

    def _create(self, path: str, body: Manifest) -> Manifest:
        name = f"{body['metadata']['generateName']}x7k2f"
        created = {**body, "metadata": {**body["metadata"], "name": name, "namespace": path.split("/")[-2]}}
        self.put(f"{path}/{name}", created)
        return created

    def _review(self, path: str, body: Manifest, headers: dict[str, str]) -> Manifest:
        if path.endswith("selfsubjectreviews"):
            return {"status": {"userInfo": {"username": headers.get("Impersonate-User", self.user)}}}
        return {"status": {"allowed": self.allowed(body["spec"])}}

    def _get(self, path: str, query: dict[str, list[str]]) -> tuple[int, Manifest]:
        if path in self.documents:
            return 200, self.documents[path]
        if path in self.objects:
            return 200, self.objects[path]
        plural = path.rpartition("/")[2]
        if plural not in self.served:
            return _status(404, f'"{plural}" not found')
        return 200, self._page(self._found(path, plural, query), query)

    def _found(self, path: str, plural: str, query: dict[str, list[str]]) -> list[Manifest]:
        prefix = path.removesuffix(plural)
        label, _, value = query.get("labelSelector", [""])[0].partition("=")
        return [
            manifest
            for place, manifest in sorted(self.objects.items())
            if place.startswith(prefix)
            and place.split("/")[-2] == plural
            and (not label or manifest["metadata"].get("labels", {}).get(label) == value)
        ]

    def _page(self, found: list[Manifest], query: dict[str, list[str]]) -> Manifest:
        """Two a page, however many are asked for, so that every list is paged."""
        start = int(query.get("continue", ["0"])[0])
        token = str(start + 2) if start + 2 < len(found) else ""
        items = [
            {k: v for k, v in each.items() if k not in ("apiVersion", "kind")} for each in found[start : start + 2]
        ]
        return {"items": items, "metadata": {"continue": token} if token else {}}

    def _patch(self, path: str, body: Manifest) -> tuple[int, Manifest]:
        if path not in self.objects:
            return _status(404, f'"{path}" not found')
        current = self.objects[path]
        expected = body.get("metadata", {}).get("resourceVersion")
        if expected not in (None, current["metadata"]["resourceVersion"]):
            return _status(409, "the object has been modified; please apply your changes to the latest version")
        merged = _merged(current, body)
        merged["metadata"]["resourceVersion"] = str(int(current["metadata"]["resourceVersion"]) + 1)
        self.objects[path] = merged
        return 200, merged


def _status(code: int, message: str) -> tuple[int, Manifest]:
    return code, {"kind": "Status", "status": "Failure", "message": message, "code": code}


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


@contextmanager
def running(api: FakeApi) -> Iterator[FakeApi]:
    """The server on a free loopback port, stopped at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    api.port = server.server_address[1]
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, answer = api.answer(self.command, self.path, body, dict(self.headers))
            if api.cut_after == self.command:
                self.close_connection = True
                return
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            for warning in api.warnings if "dryRun" in self.path else ():
                self.send_header("Warning", f'299 - "{warning}"')
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def write_kubeconfig(path: Path, port: int, namespace: str = "shop") -> Path:
    """A kubeconfig with two contexts: "fake" (the current one) and "other", which nobody serves."""
    cluster = {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    other = {"name": "other", "cluster": {"server": "http://127.0.0.1:1"}}
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "jane", "namespace": namespace}}
        for name in ("fake", "other")
    ]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster, other],
        "users": [{"name": "jane", "user": {"token": "secret"}}],
        "contexts": contexts,
        "current-context": "fake",
    }
    path.write_text(yaml.safe_dump(document))
    return path
