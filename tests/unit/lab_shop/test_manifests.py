"""The shop's Kubernetes objects hold together."""

from typing import Any

import yaml

from lab.shop.manifests import GATEWAY, GATEWAY_NAMESPACE, HOSTNAME, SERVERS, objects, render, weights
from lab.shop.settings import Settings, parse


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {made["metadata"]["name"]: made for made in objects() if made["kind"] == kind}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_each_server_is_one_pod_behind_a_service_of_its_own() -> None:
    deployments, services = of_kind("Deployment"), of_kind("Service")
    assert tuple(deployments) == tuple(services) == SERVERS
    selected = [service["spec"]["selector"] for service in services.values()]
    pods = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in deployments.values()]
    assert [[selector.items() <= labels.items() for labels in pods] for selector in selected] == [
        [one == other for one in SERVERS] for other in SERVERS
    ], "no Service selects another's pods"
    assert {deployment["spec"]["replicas"] for deployment in deployments.values()} == {1}


def test_the_route_starts_with_equal_weights_for_all_servers() -> None:
    route = of_kind("HTTPRoute")["shop"]
    assert weights(route) == dict.fromkeys(SERVERS, 100)
    assert route["spec"]["hostnames"] == [HOSTNAME]
    assert route["spec"]["parentRefs"] == [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}]


def test_a_pod_has_time_to_finish_before_it_is_killed() -> None:
    for deployment in of_kind("Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        slept = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        settings = Settings()
        at_work = (settings.queue_length + settings.workers) * settings.cost_cpu_ms / 1000 * settings.sick_cost_factor
        longest = at_work / 0.25
        grace = parse([], {env["name"]: env["value"] for env in container(deployment)["env"]}).grace_seconds
        assert slept > 2, "longer than a busy proxy takes to see it"
        assert longest < grace < spec["terminationGracePeriodSeconds"] - slept


def test_the_image_is_never_pulled_and_the_limits_are_real() -> None:
    for name, deployment in of_kind("Deployment").items():
        made = container(deployment)
        assert made["imagePullPolicy"] == "Never"
        assert made["resources"]["limits"] == made["resources"]["requests"] == {"cpu": "250m", "memory": "128Mi"}
        assert {"name": "SHOP_NAME", "value": name} in made["env"]


def test_prometheus_is_told_where_to_scrape() -> None:
    for deployment in of_kind("Deployment").values():
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert annotations["prometheus.io/port"] == str(container(deployment)["ports"][0]["containerPort"])


def test_the_yaml_says_the_same_without_anchors() -> None:
    assert list(yaml.safe_load_all(render())) == objects()
    assert "&id" not in render()
