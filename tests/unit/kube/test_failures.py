"""Which exception an answer becomes; the messages are those of a real API server (tests/integration asks one)."""

from __future__ import annotations

import msgspec
import pytest

from evenload.errors import Conflict, DisruptionRefused, Gone, KubeError, NotFound, Refused, Unavailable
from evenload.kube.client import failure
from evenload.kube.reflector import Backoff
from evenload.kube.resources import HTTPROUTES, NAMESPACES, PODS


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Refused),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_status_code_becomes_one_kind_of_exception(code: int, kind: type[KubeError]) -> None:
    error = failure("get /things", code, msgspec.json.encode({"message": "because"}), {})
    assert type(error) is kind
    assert error.status == code
    assert str(error) == f"get /things: {code} because"


def test_a_disruption_budget_is_told_from_throttling_by_its_cause() -> None:
    status = {"message": "Cannot evict pod", "details": {"causes": [{"reason": "DisruptionBudget", "message": "3"}]}}
    assert type(failure("evict", 429, msgspec.json.encode(status), {})) is DisruptionRefused


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, None, 7),
        ({}, {"retryAfterSeconds": 5}, 5),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, None),
        ({}, None, None),
    ],
)
def test_the_time_to_wait_is_taken_from_header_or_body(
    headers: dict[str, str], details: dict[str, int] | None, seconds: float | None
) -> None:
    error = failure("list", 429, msgspec.json.encode({"message": "slow down", "details": details}), headers)
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize("body", [b"", b"<html>\xff</html>", b"[1]", b'{"message": 3}'])
def test_an_answer_that_is_no_status_still_makes_a_message(body: bytes) -> None:
    assert str(failure("get /things", 502, body, {})).startswith("get /things: 502")


def test_paths_are_those_of_the_api() -> None:
    assert PODS.path("shop", "a", "eviction") == "/api/v1/namespaces/shop/pods/a/eviction"
    assert PODS.path() == "/api/v1/pods"
    assert HTTPROUTES.path("shop") == "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
    assert NAMESPACES.path(None, "shop") == "/api/v1/namespaces/shop"


class TestBackoff:
    def test_it_doubles_with_jitter_up_to_its_limit(self) -> None:
        backoff = Backoff(first=1, longest=8)
        waits = [backoff.seconds() for _ in range(20)]
        for wait, ceiling in zip(waits, [1, 2, 4, *[8] * 17], strict=True):
            assert ceiling / 2 <= wait <= ceiling

    def test_it_starts_over_after_success(self) -> None:
        backoff = Backoff(first=1, longest=8)
        for _ in range(10):
            backoff.seconds()
        backoff.reset()
        assert backoff.seconds() <= 1

    def test_it_never_comes_back_sooner_than_the_server_asked(self) -> None:
        assert Backoff(first=1, longest=8).seconds(retry_after=60) == 60
