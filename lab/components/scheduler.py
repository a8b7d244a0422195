"""kube-scheduler."""

from lab.components import Program, command
from lab.layout import Layout


def program(layout: Layout) -> Program:
    options = {
        "kubeconfig": layout.kubeconfig("scheduler"),
        "secure-port": "0",
        "leader-elect": "false",
        "profiling": "false",
    }
    return Program(name="kube-scheduler", argv=command(layout.program("kube-scheduler"), options))
