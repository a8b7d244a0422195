"""Traefik as the Gateway API's data plane, on the node rather than in a pod: its release is a binary, not an image."""

from lab.components import Program, command
from lab.layout import GATEWAY_PORT, TRAEFIK_API_PORT, TRAEFIK_METRICS_PORT, Layout


def program(layout: Layout) -> Program:
    def entry(port: int) -> str:
        return f"{layout.address}:{port}"

    options = {
        "entrypoints.web.address": entry(GATEWAY_PORT),
        "entrypoints.traefik.address": entry(TRAEFIK_API_PORT),
        "entrypoints.metrics.address": entry(TRAEFIK_METRICS_PORT),
        "providers.kubernetesgateway": "true",
        "providers.kubernetesgateway.statusaddress.ip": layout.address,
        "api.insecure": "true",  # its state, to read; inside the lab only
        "ping": "true",
        "metrics.prometheus": "true",
        "metrics.prometheus.entrypoint": "metrics",
        "metrics.prometheus.addrouterslabels": "true",
        "log.level": "INFO",
        "global.checknewversion": "false",
        "global.sendanonymoususage": "false",
    }
    return Program(
        name="traefik",
        argv=command(layout.program("traefik"), options),
        environment={"KUBECONFIG": str(layout.kubeconfig("traefik"))},
    )
