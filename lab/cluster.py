"""A lab from start to finish: the order in which things start, and what each waits for."""

import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab import (
    api,
    borrowed,
    build,
    cache,
    commands,
    control_groups,
    control_plane,
    images,
    machine,
    manifests,
    network,
    parts,
    pki,
    progress,
    state,
    teardown,
)
from lab.components import (
    containerd,
    controller_manager,
    kube_proxy,
    kubelet,
    prometheus,
    scheduler,
    traefik,
)
from lab.daemons import Daemons
from lab.errors import CannotRun, CommandFailed
from lab.layout import (
    GATEWAY_PORT,
    NODE_NAME,
    POD_RANGE,
    PROMETHEUS_PORT,
    PROMETHEUS_SERVICE_ADDRESS,
    SERVICE_RANGE,
    TRAEFIK_API_PORT,
    TRAEFIK_METRICS_PORT,
    Layout,
)
from lab.planes import PLANES
from lab.signals import shielded

DEFAULT_NAME = "lab"
TASK = "up"
LABS = "EVENLOAD_LABS"
READY_SECONDS = 240.0


def labs_folder() -> Path:
    """Where labs keep their files; it must be able to hold overlay mounts, so not every container's root will do."""
    return Path(os.environ.get(LABS) or "/var/lib/evenload")


def unique(name: str) -> str:
    """The lab's name for things that are global to the machine."""
    return f"evenload-{machine.valid_name(name)}"


def folder_of(name: str) -> Path:
    return labs_folder() / unique(name)


def names() -> list[str]:
    """Labs that have a folder, up or half made."""
    return sorted(path.name.removeprefix("evenload-") for path in labs_folder().glob("evenload-*") if path.is_dir())


def load(name: str = DEFAULT_NAME) -> state.LabState:
    """The state of a lab that is up; raises NotUp."""
    return state.load(folder_of(name) / state.FILE)


def up(name: str = DEFAULT_NAME, plane: str | None = None, *, also: Sequence[str] = ()) -> state.LabState:
    """Start a lab and wait until pods, routes and queries work. Whatever stops it on the way, nothing is left.

    `plane`: of PLANES, whose Gateway is to be used instead of Traefik's. `also`: parts that are built before.
    """
    machine.require()
    build.ensure((*parts.needed_parts(), *(PLANES[plane].parts if plane else ()), *also))
    archives = [images.pause()]
    with cache.lock(f"lab-{unique(name)}"):
        if (folder_of(name) / state.FILE).exists():
            raise CannotRun(
                f"The lab {name} is up already. Use it (`lab shell`), or stop it: `lab down --name {name}`."
            )
        teardown.down(unique(name), folder_of(name))  # what a crash may have left
        with _undone_on_failure(name), progress.showing() as shown:
            shown.start(TASK, f"starting the lab {name}")

            def stage(what: str) -> None:
                shown.update(TASK, what=what)

            current = _start(_layout(name), archives, stage)
            if plane:
                current = PLANES[plane].install(current, stage)
                state.save(current)
            shown.finish(TASK, f"the lab {name} is up")
            return current


def down(name: str = DEFAULT_NAME) -> None:
    """Stop a lab and remove all of it; one that is not there is fine."""
    reason = machine.problem()
    if reason is not None:
        raise CannotRun(reason)
    with cache.lock(f"lab-{unique(name)}"), shielded():
        teardown.down(unique(name), folder_of(name))
    left = teardown.leftovers(unique(name), folder_of(name))
    if left:
        raise CommandFailed(f"The lab {name} is down, but this is left: {', '.join(left)}. Try `lab down` again.")


@contextlib.contextmanager
def _undone_on_failure(name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with shielded():
            teardown.down(unique(name), folder_of(name))
        raise


def _layout(name: str) -> Layout:
    kubernetes = parts.folder("kubernetes")
    programs = {program: kubernetes / program for program in parts.KUBERNETES_PROGRAMS}
    programs |= {part: parts.folder(part) / part for part in ("traefik", "prometheus")}
    found = {program: machine.find_program(program) for program in ("containerd", "runc", "ctr")}
    found["helm"] = parts.folder("helm") / "helm" if parts.ships_helm() else machine.find_program("helm")
    programs |= {program: path for program, path in found.items() if path is not None}
    return Layout(
        name=name,
        folder=folder_of(name),
        programs=programs,
        namespace=network.path(unique(name)),
        control_group=unique(name),
    )


def _start(layout: Layout, archives: list[Path], stage: Callable[[str], None]) -> state.LabState:
    stage("namespace, control group, certificates")
    _prepare(layout)
    daemons = Daemons(layout)
    stage("containerd, etcd and the API server")
    _start_foundations(daemons, archives)
    stage("controllers, scheduler and node")
    for component in (controller_manager, scheduler, kubelet, kube_proxy):
        daemons.start(component.program(layout))
    stage("the Gateway API and the lab's own objects")
    control_plane.install_gateway_api(layout)
    _apply(layout, manifests.everything(layout))
    stage("Traefik and Prometheus")
    for addition in (traefik, prometheus):
        daemons.start(addition.program(layout))
    control_plane.wait_for_service_accounts(daemons)
    for what, program, ready in _conditions(layout):
        stage(f"waiting for {what}")
        daemons.wait(what, ready, seconds=READY_SECONDS, needs=(program,))
    current = describe(layout)
    state.save(current)
    return current


def _prepare(layout: Layout) -> None:
    assert layout.control_group is not None
    with cache.lock(teardown.LABS_LOCK):
        labs_folder().mkdir(parents=True, exist_ok=True)
        layout.run.mkdir(parents=True, mode=0o700)
        borrowed.borrow(labs_folder())
    network.create(layout.control_group)
    control_groups.create(layout.control_group)
    pki.create(layout, (*pki.control_plane_certificates(layout), *pki.node_certificates(layout)))


def _start_foundations(daemons: Daemons, archives: list[Path]) -> None:
    """The images are imported while the API server starts: one waits for the disk, the other for the processor."""
    daemons.start(containerd.program(daemons.layout))
    imported = _in_background(lambda: _import(daemons, archives))
    control_plane.start_api(daemons)
    imported()


def _apply(layout: Layout, objects: list[manifests.Object]) -> None:
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    control_plane.kubectl(layout, "apply", "--server-side", "--filename", "-", stdin=content)


def _conditions(layout: Layout) -> list[tuple[str, str, Callable[[], bool]]]:
    """What must hold, which program brings it about, and how to see it."""
    trust = api.trust(layout, "admin")
    gateway = f"{layout.api_url}/apis/gateway.networking.k8s.io/v1/namespaces/gateway/gateways/traefik"
    prometheus_ready = f"http://{layout.address}:{PROMETHEUS_PORT}/-/ready"
    return [
        ("the node", "kubelet", lambda: api.is_true(f"{layout.api_url}/api/v1/nodes/{NODE_NAME}", "Ready", trust)),
        ("the Service rules", "kube-proxy", lambda: api.get("http://127.0.0.1:10256/healthz") is not None),
        ("the Gateway", "traefik", lambda: api.is_true(gateway, "Programmed", trust)),
        ("Prometheus", "prometheus", lambda: api.get(prometheus_ready) is not None),
    ]


def describe(layout: Layout) -> state.LabState:
    def url(port: int, host: str = layout.address) -> str:
        return f"http://{host}:{port}"

    return dataclasses.replace(
        control_plane.describe(layout),
        helm=layout.programs.get("helm"),
        ctr=layout.program("ctr"),
        containerd_socket=layout.containerd_socket,
        namespace=layout.namespace,
        control_group=layout.control_group,
        node_name=NODE_NAME,
        node_address=layout.address,
        pod_range=POD_RANGE,
        service_range=SERVICE_RANGE,
        gateway_url=url(GATEWAY_PORT),
        traefik_api_url=url(TRAEFIK_API_PORT),
        traefik_metrics_url=f"{url(TRAEFIK_METRICS_PORT)}/metrics",
        prometheus_url=url(PROMETHEUS_PORT),
        prometheus_service_url=url(PROMETHEUS_PORT, PROMETHEUS_SERVICE_ADDRESS),
    )


def _import(daemons: Daemons, archives: list[Path]) -> None:
    layout = daemons.layout
    ctr, socket = layout.program("ctr"), layout.containerd_socket

    def answers() -> bool:
        try:
            commands.run([ctr, "--address", socket, "version"])
        except CommandFailed:
            return False
        return True

    daemons.wait("containerd", answers, seconds=READY_SECONDS, needs=("containerd",))
    for archive in archives:
        images.import_archive(ctr, socket, archive)


def _in_background(work: Callable[[], None]) -> Callable[[], None]:
    """Start `work` in a thread; the function returned waits for it and raises what it raised."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()

    def join() -> None:
        thread.join()
        if failures:
            raise failures[0]

    return join
