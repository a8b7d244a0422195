"""Names, addresses and paths of one lab, from which every configuration file is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CannotRun

NODE_NAME = "lab"
# The same in every lab: each has a network namespace of its own. EndpointSlices refuse loopback addresses, so the
# node needs a real one; it sits on `lo`, because not every kernel has the dummy device.
NODE_ADDRESS = "10.88.0.1"
POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"  # Kubernetes takes the first of the range
PROMETHEUS_SERVICE_ADDRESS = "10.96.0.90"
GATEWAY_PORT = 8000
TRAEFIK_API_PORT = 8080
TRAEFIK_METRICS_PORT = 8082
PROMETHEUS_PORT = 9090
KUBELET_PORT = 10250


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`programs` says where each executable is; `namespace` is the path of the network namespace, if it has a name."""

    name: str
    folder: Path
    programs: Mapping[str, Path]
    address: str = NODE_ADDRESS
    api_port: int = 6443
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    namespace: Path | None = None
    control_group: str | None = None

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def audit_log(self) -> Path:
        """A line of JSON a request of a service account: see lab/components/apiserver.py."""
        return self.logs / "audit.log"

    @property
    def run(self) -> Path:
        """Sockets. Short on purpose: a socket's path may have 107 characters."""
        return self.folder / "run"

    @property
    def etc(self) -> Path:
        """Rendered configuration files."""
        return self.folder / "etc"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def api_url(self) -> str:
        return f"https://{self.address}:{self.api_port}"

    @property
    def entering(self) -> tuple[str, ...]:
        """The start of a command line that goes into the network namespace, and only that.

        `ip netns exec` would change the mounts as well, and the kubelet must see the machine's.
        """
        return () if self.namespace is None else ("nsenter", f"--net={self.namespace}", "--")

    @property
    def is_loopback(self) -> bool:
        """Without a network namespace the control plane listens on loopback, with ports that happened to be free."""
        return self.address.startswith("127.")

    def program(self, name: str) -> Path:
        """The path of an executable; raises CannotRun when this lab was made without it."""
        if name not in self.programs:
            raise CannotRun(f"There is no {name} here. Run `python -m lab build` first.")
        return self.programs[name]

    def certificate(self, name: str) -> Path:
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.pki / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        return self.pki / f"{name}.kubeconfig"

    @property
    def authority(self) -> Path:
        return self.certificate("ca")
