"""The kubelet: its own folder, its own control group, and every request to it signed in and authorized."""

import json

from lab.components import Program, command
from lab.layout import KUBELET_PORT, NODE_NAME, Layout

# cAdvisor reads a container's counters this often. With its default of 10 s a rate over less than 20 s sees nothing.
HOUSEKEEPING = "1s"


def program(layout: Layout) -> Program:
    configuration = layout.etc / "kubelet.json"
    options = {
        "config": configuration,
        "kubeconfig": layout.kubeconfig("kubelet"),
        "hostname-override": NODE_NAME,
        "node-ip": layout.address,
        "root-dir": layout.folder / "kubelet",
        "cert-dir": layout.folder / "kubelet" / "pki",
        # Deprecated, but it alone makes cAdvisor look at this containerd, not at the one of the machine.
        "containerd": layout.containerd_socket,
        "housekeeping-interval": HOUSEKEEPING,
    }
    return Program(
        name="kubelet",
        argv=command(layout.program("kubelet"), options),
        mounts="containerd",  # what either mounts, the other must see
        files={configuration: json.dumps(settings(layout), indent=2)},
    )


def settings(layout: Layout) -> dict[str, object]:
    """The KubeletConfiguration. Nothing is ever evicted or deleted for want of disk: the disk is the user's."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.address,
        "port": KUBELET_PORT,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "tlsCertFile": str(layout.certificate("kubelet-server")),
        "tlsPrivateKeyFile": str(layout.key("kubelet-server")),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.control_group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": str(layout.folder / "pod-logs"),
        "volumePluginDir": str(layout.folder / "volume-plugins"),
        "staticPodPath": "",
        "resolvConf": "",  # there is no DNS inside, and the machine's would not be reachable
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "shutdownGracePeriod": "0s",
    }
