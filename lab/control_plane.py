"""A control plane without nodes, for tests: etcd, API server, controllers, the Gateway API's CRDs. Ready in about 4 s.

It runs in network, process and (without root) user namespaces of its own, so several may run at once and the kernel
ends all of it with the first process. Where namespaces are not to be had it listens on free loopback ports instead.
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lab import api, build, commands, parts, pki, state
from lab.components import apiserver, controller_manager, etcd, scheduler
from lab.daemons import Daemons
from lab.errors import CommandFailed
from lab.layout import NODE_ADDRESS, Layout
from lab.signals import in_foreground, shielded, stoppable

OWN_CLUSTER = "EVENLOAD_TEST_KUBECONFIG"
ASSETS = "KUBEBUILDER_ASSETS"
TO_INSTALL = ("istio-crds", "traefik-crds")  # by the tests that need them
CRDS = ("gateway-api", *TO_INSTALL)
INSIDE = "EVENLOAD_LAB_FOLDER"  # set for the copy of ourselves that runs inside the namespaces
READY_SECONDS = 180.0
PR_SET_PDEATHSIG = 1


def run(command: Sequence[str], *, with_scheduler: bool = False, also: Sequence[str] = ()) -> int:
    """Run the command with KUBECONFIG of a fresh control plane (or of the cluster the user names); its exit code.

    Parts in `also` are built before, for a command that needs them and no patience.
    """
    own = os.environ.get(OWN_CLUSTER)
    if own:
        build.ensure((*TO_INSTALL, *also))
        return in_foreground(command, {**os.environ, "KUBECONFIG": str(Path(own).expanduser())})
    inside = os.environ.get(INSIDE)
    if inside:
        return _serve(command, isolated_layout(Path(inside)), with_scheduler=with_scheduler)
    build.ensure((*needed_parts(os.environ), *also))
    with stoppable(), _scratch() as folder:
        isolation = isolation_command()
        if isolation:
            return _run_isolated(isolation, folder)
        return _serve(command, loopback_layout(folder), with_scheduler=with_scheduler)


def needed_parts(environment: Mapping[str, str]) -> tuple[str, ...]:
    """With somebody else's binaries only the CRDs must be fetched: the Gateway API's, and those that tests install."""
    return CRDS if environment.get(ASSETS) else ("kubernetes", *CRDS)


def programs() -> dict[str, Path]:
    """What is in the cache, overridden by what KUBEBUILDER_ASSETS holds."""
    found: dict[str, Path] = {}
    if parts.is_built("kubernetes"):
        found = {name: parts.folder("kubernetes") / name for name in parts.KUBERNETES_PROGRAMS}
    assets = os.environ.get(ASSETS)
    given = {path.name: path for path in Path(assets).iterdir()} if assets else {}
    return found | {name: path for name, path in given.items() if name in parts.KUBERNETES_PROGRAMS}


def isolated_layout(folder: Path) -> Layout:
    return Layout(name="control-plane", folder=folder, programs=programs())


def loopback_layout(folder: Path) -> Layout:
    api_port, etcd_port, peer_port = free_ports(3)
    return Layout(
        name="control-plane",
        folder=folder,
        programs=programs(),
        address="127.0.0.1",
        api_port=api_port,
        etcd_port=etcd_port,
        etcd_peer_port=peer_port,
    )


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now; all are held until the last is found, so they differ.

    Below the range of outgoing connections: one of those could take it before whoever it is for listens.
    """
    found: list[int] = []
    # Not a seeded generator: those who look at the same time would all find the same one.
    candidates = iter(random.SystemRandom().sample(range(10_000, 32_000), 1000))
    with contextlib.ExitStack() as held:
        while len(found) < count:
            port = next(candidates)
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
    return found


def isolation_command() -> list[str] | None:
    """The `unshare` command line that works here, if one does and `ip` is there to bring the network up."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    candidate = ["unshare", *user, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        commands.run([*candidate, "true"], timeout_seconds=60)
    except CommandFailed:
        return None
    return candidate


def _run_isolated(isolation: Sequence[str], folder: Path) -> int:
    """Run this same command line again inside the namespaces. Ending `unshare` ends everything within."""
    process = subprocess.Popen(
        [*isolation, sys.executable, "-m", "lab", *sys.argv[1:]],
        env={**os.environ, INSIDE: str(folder)},
        preexec_fn=_die_with_parent,
    )
    try:
        code = process.wait()
    finally:
        with shielded():
            process.kill()
            process.wait()
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(command: Sequence[str], layout: Layout, *, with_scheduler: bool) -> int:
    daemons = Daemons(layout)
    with stoppable():
        try:
            if not layout.is_loopback:
                _bring_network_up()
            start(daemons, with_scheduler=with_scheduler)
            current = describe(layout)
            state.save(current)
            environment = {key: value for key, value in os.environ.items() if key != INSIDE}
            return in_foreground(command, {**environment, **current.environment()})
        finally:
            with shielded():
                daemons.kill()


def start(daemons: Daemons, *, with_scheduler: bool = False) -> None:
    """Start everything and wait until objects can be created, service accounts included."""
    layout = daemons.layout
    pki.create(layout, pki.control_plane_certificates(layout))
    start_api(daemons)
    if "kube-controller-manager" in layout.programs:
        daemons.start(controller_manager.program(layout))
    if with_scheduler:
        daemons.start(scheduler.program(layout))
    install_gateway_api(layout)
    if "kube-controller-manager" in layout.programs:
        wait_for_service_accounts(daemons)


def start_api(daemons: Daemons) -> None:
    """etcd and the API server, until it says that it is ready."""
    layout = daemons.layout
    daemons.start(etcd.program(layout))
    daemons.start(apiserver.program(layout))
    trust = api.trust(layout, "admin")
    ready = f"{layout.api_url}/readyz"
    daemons.wait(
        "the API server",
        lambda: api.get(ready, trust) is not None,
        seconds=READY_SECONDS,
        needs=("etcd", "kube-apiserver"),
    )


def install_gateway_api(layout: Layout) -> None:
    """Apply the CRDs. Traefik does not recover when they come after it."""
    kubectl(layout, "apply", "--server-side", "--filename", str(parts.folder("gateway-api")))
    kubectl(layout, "wait", "crd", "--all", "--for=condition=Established", f"--timeout={READY_SECONDS:.0f}s")


def kubectl(layout: Layout, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the administrator of a lab that is being started."""
    command = [*layout.entering, str(layout.program("kubectl")), "--kubeconfig", str(layout.kubeconfig("admin"))]
    private = state.private_caches(layout.folder)
    return commands.run([*command, *arguments], env=private, stdin=stdin, timeout_seconds=READY_SECONDS + 5)


def wait_for_service_accounts(daemons: Daemons) -> None:
    """Until the default one exists, pods cannot be created, and their owners back off."""
    trust = api.trust(daemons.layout, "admin")
    url = f"{daemons.layout.api_url}/api/v1/namespaces/default/serviceaccounts/default"
    daemons.wait(
        "the default service account",
        lambda: api.get(url, trust) is not None,
        seconds=READY_SECONDS,
        needs=("kube-controller-manager",),
    )


def describe(layout: Layout) -> state.LabState:
    return state.LabState(
        name=layout.name,
        folder=layout.folder,
        kubeconfig=layout.kubeconfig("admin"),
        kubectl=layout.program("kubectl"),
        api_url=layout.api_url,
        kubernetes_version=parts.KUBERNETES_VERSION,
        audit_log=layout.audit_log,
    )


def _bring_network_up() -> None:
    commands.run(["ip", "link", "set", "lo", "up"])
    commands.run(["ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", "lo"])


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="evenload-"))
    try:
        yield folder
    finally:
        with shielded():
            shutil.rmtree(folder, ignore_errors=True)
