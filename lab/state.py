"""What a running lab tells others: the file `EVENLOAD_LAB` names, and the environment of commands run inside."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import NotUp

VARIABLE = "EVENLOAD_LAB"
FILE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """A lab that is up. What a bare control plane does not have is None.

    The URLs with `node_address` work from inside the lab's network namespace and from its pods;
    `prometheus_service_url` is the same Prometheus behind a ClusterIP.
    """

    name: str
    folder: Path
    kubeconfig: Path
    kubectl: Path
    api_url: str
    kubernetes_version: str
    audit_log: Path | None = None
    helm: Path | None = None
    ctr: Path | None = None
    containerd_socket: Path | None = None
    namespace: Path | None = None
    control_group: str | None = None
    node_name: str | None = None
    node_address: str | None = None
    pod_range: str | None = None
    service_range: str | None = None
    gateway: str = "traefik"  # the name of the Gateway, in namespace `gateway`, that routes attach to
    gateway_url: str | None = None
    traefik_api_url: str | None = None
    traefik_metrics_url: str | None = None
    prometheus_url: str | None = None
    prometheus_service_url: str | None = None

    @property
    def file(self) -> Path:
        return self.folder / FILE

    @property
    def entering(self) -> tuple[str, ...]:
        """The start of a command line that reaches the lab's network; nothing if we are in it already."""
        if self.namespace is None or os.path.samefile(self.namespace, "/proc/self/ns/net"):
            return ()
        return ("nsenter", f"--net={self.namespace}", "--")

    def environment(self) -> dict[str, str]:
        """Variables for a command that shall use this lab; kubectl and helm come first on its PATH."""
        programs = {str(path.parent): None for path in (self.kubectl, self.helm) if path is not None}
        return {
            "KUBECONFIG": str(self.kubeconfig),
            VARIABLE: str(self.file),
            **private_caches(self.folder),
            "PATH": os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)]),
        }


def private_caches(folder: Path) -> dict[str, str]:
    """Where kubectl and helm keep what they learn: every lab has the same address, so not in the home directory."""
    caches = folder / "client-cache"
    helm = {f"HELM_{kind}_HOME": str(caches / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return {"KUBECACHEDIR": str(caches / "kube"), **helm}


def save(state: LabState) -> None:
    """Write the state file, whole or not at all."""
    scratch = state.file.with_suffix(".new")
    scratch.write_text(json.dumps(dataclasses.asdict(state), indent=2, default=str) + "\n")
    scratch.rename(state.file)


def load(path: str | Path | None = None) -> LabState:
    """Read the state file at `path`, or the one `EVENLOAD_LAB` names; raises NotUp when there is none."""
    found = path or os.environ.get(VARIABLE)
    if not found:
        raise NotUp(f"{VARIABLE} is not set. Run this inside a lab: `python -m lab run -- COMMAND` or `lab shell`.")
    try:
        content = json.loads(Path(found).read_text())
    except FileNotFoundError:
        raise NotUp(f"No lab runs at {Path(found).parent}. Start one with `python -m lab up`.") from None
    return LabState(**{name: _typed(name, value) for name, value in content.items()})


PATHS = frozenset({"folder", "kubeconfig", "kubectl", "helm", "ctr", "containerd_socket", "namespace", "audit_log"})


def _typed(name: str, value: Any) -> Any:
    return Path(value) if name in PATHS and value is not None else value
