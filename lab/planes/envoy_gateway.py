"""Envoy Gateway by its own chart, and an Envoy in a pod of its making. Traefik stays beside it, with its own Gateway.

The lab has no DNS, and Envoys look their control plane up by name: they are given it in their hosts file.
"""

import dataclasses
import json
import shutil
import string
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab import clients, images, parts
from lab.manifests import GATEWAY_API, Object
from lab.state import LabState

CONTROLLER_IMAGE = "localhost/envoy-gateway:lab"
PROXY_IMAGE = "localhost/envoy:lab"
NAMESPACE = "envoy-gateway-system"
RELEASE = "eg"
CONTROL_PLANE = f"envoy-gateway.{NAMESPACE}.svc.cluster.local"
HOSTS = "control-plane-hosts"
GATEWAY = "envoy"
PORT = 80
WAIT_SECONDS = 240


def install(lab: LabState, stage: Callable[[str], None]) -> LabState:
    """Raises CommandFailed where it does not get ready."""
    stage("images of Envoy Gateway and Envoy")
    system = parts.folder("rootfs") / "rootfs.tar"  # Envoy is linked to a C library
    for archive in (
        images.program("envoy-gateway", CONTROLLER_IMAGE, ("envoy-gateway",)),
        images.program("envoy", PROXY_IMAGE, ("envoy",), below=[system]),
    ):
        images.load_image(lab, archive)
    stage("Envoy Gateway")
    crds = parts.folder("envoy-gateway") / "crds"
    clients.kubectl(lab, "apply", "--server-side", f"--filename={crds}")
    with tempfile.TemporaryDirectory() as scratch:
        _install_chart(lab, Path(scratch))
    stage("a Gateway of it")
    apply(lab, [_class(), _hosts(_control_plane_address(lab)), _proxy(), _gateway()])
    clients.kubectl(
        lab,
        *("--namespace", "gateway", "wait", "gateway", GATEWAY, "--for=condition=Programmed"),
        f"--timeout={WAIT_SECONDS}s",
        timeout_seconds=WAIT_SECONDS + 10,
    )
    return dataclasses.replace(lab, gateway=GATEWAY, gateway_url=f"http://{_address(lab)}:{PORT}")


def _install_chart(lab: LabState, scratch: Path) -> None:
    """The repository's chart has its values as a template: its releases fill it in."""
    chart = scratch / "gateway-helm"
    shutil.copytree(parts.folder("envoy-gateway") / "chart", chart)
    template = string.Template((chart / "values.tmpl.yaml").read_text())
    filled = {"GatewayImage": CONTROLLER_IMAGE, "GatewayImagePullPolicy": "Never"}
    (chart / "values.yaml").write_text(template.substitute(filled))
    definition = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(definition.partition("\ndependencies:")[0] + "\n")
    (chart / "Chart.lock").unlink()
    settings = {"topologyInjector.enabled": "false", "config.envoyGateway.provider.type": "Kubernetes"}
    clients.helm(
        lab,
        *("install", RELEASE, str(chart), "--namespace", NAMESPACE, "--create-namespace", "--wait"),
        *(f"--set={name}={value}" for name, value in settings.items()),
        f"--set-json=config.envoyGateway.provider.kubernetes={json.dumps(_shutdown_manager())}",
        f"--timeout={WAIT_SECONDS}s",
        timeout_seconds=WAIT_SECONDS + 10,
    )


def _shutdown_manager() -> Mapping[str, Any]:
    """What drains an Envoy, in a container beside it."""
    return {"shutdownManager": {"image": CONTROLLER_IMAGE}}


def _class() -> Object:
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": GATEWAY},
        "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
    }


def _hosts(control_plane: str) -> Object:
    """What Envoy's resolver reads; it asks for the name with its last dot."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": HOSTS, "namespace": NAMESPACE},
        "data": {"hosts": f"127.0.0.1 localhost\n{control_plane} {CONTROL_PLANE}. {CONTROL_PLANE}\n"},
    }


def _proxy() -> Object:
    mounted = {"name": HOSTS, "mountPath": "/etc/hosts", "subPath": "hosts", "readOnly": True}
    pod = {
        "volumes": [{"name": HOSTS, "configMap": {"name": HOSTS}}],
        "containers": [{"name": "envoy", "volumeMounts": [mounted]}],
    }
    deployment = {
        "container": {"image": PROXY_IMAGE},
        "patch": {"type": "StrategicMerge", "value": {"spec": {"template": {"spec": pod}}}},
    }
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": GATEWAY, "namespace": "gateway"},
        "spec": {
            "provider": {
                "type": "Kubernetes",
                "kubernetes": {"envoyDeployment": deployment, "envoyService": {"type": "ClusterIP"}},
            }
        },
    }


def _gateway() -> Object:
    parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": GATEWAY}
    listener = {
        "name": "web",
        "protocol": "HTTP",
        "port": PORT,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": "gateway"},
        "spec": {
            "gatewayClassName": GATEWAY,
            "listeners": [listener],
            "infrastructure": {"parametersRef": parameters},
        },
    }


def apply(lab: LabState, objects: list[Object]) -> None:
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    clients.kubectl(lab, "apply", "--server-side", "--filename", "-", stdin=content)


def _control_plane_address(lab: LabState) -> str:
    return clients.kubectl(
        lab, "--namespace", NAMESPACE, "get", "service", "envoy-gateway", "--output=jsonpath={.spec.clusterIP}"
    ).strip()


def _address(lab: LabState) -> str:
    return clients.kubectl(
        lab, "--namespace", "gateway", "get", "gateway", GATEWAY, "--output=jsonpath={.status.addresses[0].value}"
    ).strip()
