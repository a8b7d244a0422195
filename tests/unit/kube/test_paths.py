"""Names in URLs: whatever text a name is, it addresses one object of its own kind and namespace, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from evenload.api.v1alpha1 import ObjectMeta
from evenload.errors import InputError, InvalidName, KubeError
from evenload.kube.client import Client
from evenload.kube.config import Connection
from evenload.kube.resources import DEPLOYMENTS, NAMESPACES, PODS
from evenload.record.events import Bulletin, Happening, Reason

NAMES = st.one_of(
    st.text(max_size=40),
    st.text(st.sampled_from("./%2fFeE?#;\\:@ a\n\x00ü"), max_size=20),
    st.sampled_from([".", "..", "", "../../kube-system/pods/x", "%2e%2e", "..%2f..", "a/../b", "a?watch=1", "a#b"]),
)
HOSTILE = ["../../kube-system/pods/victim", "%2e%2e%2fx", "a?watch=1", "a#b", "a//b", "a%41", "a b;c:d@e", "ü\n"]


def segments(path: str) -> list[str]:
    return [unquote(part) for part in path.split("/")]


@given(namespace=NAMES, name=NAMES)
def test_a_path_has_the_segments_it_was_given_or_there_is_none(namespace: str, name: str) -> None:
    try:
        path = PODS.path(namespace, name, "eviction")
    except InvalidName:
        return
    assert segments(path) == ["", "api", "v1", "namespaces", namespace, "pods", name, "eviction"]
    assert not {".", ".."} & set(path.split("/"))
    assert path.isascii()
    assert path.isprintable()
    assert not set("?#; ") & set(path)


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
def test_what_no_path_can_hold_is_refused(name: str) -> None:
    for resource, namespace, asked in ((PODS, "shop", name), (PODS, name, "a"), (NAMESPACES, None, name)):
        with pytest.raises(InvalidName):
            resource.path(namespace, asked)


def test_a_refused_name_is_handled_like_any_other_refusal_or_wrong_input() -> None:
    assert issubclass(InvalidName, KubeError)
    assert issubclass(InvalidName, InputError)


class Server:
    """Answers everything with one object; `seen` has the paths as they came."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(request.raw_path.partition("?")[0])
        return web.json_response({"metadata": {"uid": "u", "namespace": "shop"}})


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(server.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("prefix", ["", "/", "/k8s/clusters/c%2Fd/"])
async def test_names_reach_the_server_as_one_segment_each(server: Server, url: str, prefix: str) -> None:
    async with Client(Connection(url + prefix)) as client:
        for name in HOSTILE:
            await client.get(PODS, "tenant", name)
            await client.get(PODS, name, "pod")
            await client.patch_merge(PODS, "tenant", name, {}, subresource="status")
            await client.evict("tenant", name, "uid")
            await client.delete(PODS, "tenant", name, uid="u")
    start = prefix.rstrip("/") + "/api/v1/namespaces"
    expected = []
    for name in HOSTILE:
        quoted = PODS.path("tenant", name).rpartition("/")[2]
        one = f"{start}/tenant/pods/{quoted}"
        expected += [one, f"{start}/{quoted}/pods/pod", f"{one}/status", f"{one}/eviction", one]
    assert server.seen == expected


async def test_an_owners_name_of_dots_asks_for_nothing_else(server: Server, url: str) -> None:
    failures: list[int] = []
    balancer = ObjectMeta(name="shop", namespace="shop", uid="u")
    async with Client(Connection(url)) as client:
        bulletin = Bulletin(client, "evenload-0", lambda: failures.append(1))
        for at, owner in enumerate(("..", "", "../../../../../api/v1/namespaces/kube-system/secrets/x")):
            told = Happening(time=1.0, reason=Reason.Restarted, note="x", key=str(at), workload=f"Deployment/{owner}")
            await bulletin.post(balancer, told)
    deployments = [path for path in server.seen if "/deployments" in path]
    assert deployments == [DEPLOYMENTS.path("shop", "../../../../../api/v1/namespaces/kube-system/secrets/x")]
    assert not [path for path in server.seen if "kube-system/secrets" in path]
    assert len(failures) == 2


async def test_an_address_that_is_none_is_an_unreachable_server() -> None:
    async with Client(Connection("http://[::1")) as client:
        with pytest.raises(KubeError, match="cannot be reached"):
            await client.get(PODS, "shop", "a")
