"""kube-proxy, in the mode that needs only nftables."""

import json

from lab.components import Program, command
from lab.layout import NODE_NAME, POD_RANGE, Layout


def program(layout: Layout) -> Program:
    configuration = layout.etc / "kube-proxy.json"
    return Program(
        name="kube-proxy",
        argv=command(layout.program("kube-proxy"), {"config": configuration}),
        files={configuration: json.dumps(settings(layout), indent=2)},
    )


def settings(layout: Layout) -> dict[str, object]:
    """The KubeProxyConfiguration. Connection tracking belongs to the whole machine, so its limits are left alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("kube-proxy"))},
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": NODE_NAME,
        "bindAddress": layout.address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
