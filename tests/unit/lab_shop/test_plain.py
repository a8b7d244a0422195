"""The plain Service and its pods."""

from __future__ import annotations

from typing import Any

from lab.shop import plain
from lab.shop.settings import Settings, parse


def made(kind: str, **given: Any) -> dict[str, Any]:
    (only,) = (each for each in plain.objects(3, **given) if each["kind"] == kind)
    return only


def environment(**given: Any) -> dict[str, dict[str, Any]]:
    (container,) = made("Deployment", **given)["spec"]["template"]["spec"]["containers"]
    names = [each["name"] for each in container["env"]]
    assert len(set(names)) == len(names), "server-side apply refuses two of one name"
    return {each["name"]: each for each in container["env"]}


def settings(**given: Any) -> Settings:
    return parse([], {name: each["value"] for name, each in environment(**given).items() if "value" in each})


def test_all_pods_are_those_of_one_service_and_no_more_than_one_may_be_missing() -> None:
    deployment = made("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 3
    assert made("Service")["spec"]["selector"] == labels
    budget = made("PodDisruptionBudget")["spec"]
    assert (budget["selector"]["matchLabels"], budget["maxUnavailable"]) == (labels, 1)


def test_a_pod_answers_under_its_own_name() -> None:
    assert environment()["SHOP_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_its_pods_never_fall_ill_and_cost_what_is_written() -> None:
    found = settings()
    assert (found.cost_cpu_ms, found.sick_rejections) == (plain.COST_CPU_MS, plain.NEVER)


def test_connections_live_for_ever_unless_they_are_given_an_age() -> None:
    assert settings().connection_seconds == 0.0
    assert settings(connection_seconds=30.0).connection_seconds == 30.0
