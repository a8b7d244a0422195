"""kube-controller-manager, each controller with the service account and the rights of its own."""

from lab.components import Program, command
from lab.layout import Layout

# With the defaults (20 and 30) its controllers reach their first sync 4-5 s after the node is Ready, and pods made
# before that fail for want of a service account and back off.
REQUESTS_PER_SECOND = 300
BURST = 600


def program(layout: Layout) -> Program:
    options = {
        "kubeconfig": layout.kubeconfig("controller-manager"),
        "secure-port": "0",
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": layout.key("service-accounts"),
        "root-ca-file": layout.authority,
        "kube-api-qps": REQUESTS_PER_SECOND,
        "kube-api-burst": BURST,
        "profiling": "false",
    }
    return Program(name="kube-controller-manager", argv=command(layout.program("kube-controller-manager"), options))
