"""The script of the incident."""

from __future__ import annotations

import msgspec
import pytest

from evenload.api.v1alpha1 import Balancer
from lab.demo import incident
from lab.shop import manifests as shop


def test_both_arms_meet_the_same_customers() -> None:
    assert incident.schedule(7) == incident.schedule(7)
    assert incident.schedule(7) != incident.schedule(8)


def test_the_customers_outlast_every_arm() -> None:
    longest = incident.HEALTHY_SECONDS + incident.TIMEOUT_SECONDS + incident.TAIL_SECONDS
    assert longest - 1 < incident.schedule(7)[-1] < longest


def test_customers_between_the_arms_are_others() -> None:
    assert incident.earlier_customers(7, 30)[0] != incident.schedule(7)[0]


def test_a_bad_release_gives_one_server_nearly_everything() -> None:
    weights = shop.weights(incident.release(incident.BAD_WEIGHTS))
    assert weights == {"shop-a": 970, "shop-b": 10, "shop-c": 10, "shop-d": 10}


def test_a_good_release_is_the_route_as_it_was_installed() -> None:
    installed = next(each for each in shop.objects() if each["kind"] == "HTTPRoute")
    assert incident.release(incident.GOOD_WEIGHTS) == installed


def test_a_release_leaves_the_installed_manifests_alone() -> None:
    incident.release(incident.BAD_WEIGHTS)
    assert shop.weights(incident.release(incident.GOOD_WEIGHTS)) == incident.GOOD_WEIGHTS


def test_the_update_that_the_guard_cannot_see_gives_each_server_the_same() -> None:
    assert shop.weights(incident.release(incident.NEXT_WEIGHTS)) == dict.fromkeys([*shop.SERVERS, shop.NEXT], 100)
    deployment, service = shop.next_release(0.5)
    assert {deployment["metadata"]["name"], service["metadata"]["name"]} == {shop.NEXT}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "SHOP_FAILURE_SHARE", "value": "0.5"} in container["env"]


@pytest.mark.parametrize("arm", [incident.ALONE, incident.EVENLOAD])
def test_the_balancer_is_one_the_operator_can_read(arm: incident.Arm) -> None:
    balancer = msgspec.convert(incident.balancer(arm.mode), Balancer)
    assert balancer.spec.mode == arm.mode
    assert balancer.spec.target_ref.name == shop.ROUTE
