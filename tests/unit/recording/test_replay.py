"""A recording somebody wrote by hand, with no more keys than the documentation shows, is judged like a real one."""

from __future__ import annotations

import json

from evenload.model.diagnosis import Label
from evenload.model.plan import Purpose, SetWeights
from evenload.recording import decision_line, read
from evenload.replay import replay

HEADER = json.dumps(
    {
        "evenload": "recording/v1",
        "balancer": {
            "apiVersion": "evenload.dev/v1alpha1",
            "kind": "Balancer",
            "metadata": {"name": "shop"},
            "spec": {"targetRef": {"kind": "HTTPRoute", "name": "shop"}, "mode": "Auto"},
        },
        "tick": 10,
    }
)


def tick(number: int, weights: dict[str, int], requests: dict[str, int], **more: object) -> str:
    """Requests in thirty seconds by backend, each of one pod; a pod can do 1,000 of them before it fails some."""
    backends = {
        f"shop-{name}": {
            "weight": weights[name],
            "pods": {
                f"shop-{name}-x": {
                    "ready": True,
                    "age": 8600,
                    "node": "n1",
                    "requests": count,
                    "errors": max(0, count - 1000),
                    "latency": 0.02 if count < 1000 else 0.4,
                    "cpu": min(0.5, count / 2000),
                    "cpuLimit": 0.5,
                    "memory": 81e6,
                    "memoryLimit": 2.5e8,
                    "inFlight": 3,
                }
            },
        }
        for name, count in requests.items()
    }
    return json.dumps({"time": 1760089500.0 + 10 * number, "window": 30, "backends": backends, **more})


EVEN = ({"a": 250, "b": 250, "c": 250, "d": 250}, {"a": 500, "b": 498, "c": 505, "d": 497})
HOT = ({"a": 250, "b": 250, "c": 9000, "d": 250}, {"a": 51, "b": 50, "c": 1850, "d": 49})


def test_a_bad_update_is_found_and_taken_back_without_a_restart() -> None:
    seen = [EVEN] * 12 + [HOT] * 4
    lines = [
        HEADER,
        *(tick(n, weights, {k: v + n % 5 for k, v in now.items()}) for n, (weights, now) in enumerate(seen)),
    ]
    decisions = list(replay(read(lines)))
    assert [decision.diagnosis.label for decision in decisions[4:12]] == [Label.Healthy] * 8
    assert decisions[-1].diagnosis.label is Label.LoadBalancerSkew
    assert decisions[-1].diagnosis.backends == ("shop-c",)
    writes = [action for decision in decisions for action in decision.actions if isinstance(action, SetWeights)]
    assert {write.purpose for write in writes} == {Purpose.Restore}
    shares = {name: weight / sum(writes[0].after.values()) for name, weight in writes[0].after.items()}
    assert shares["shop-c"] < 0.5


def test_the_same_file_gives_the_same_bytes() -> None:
    lines = [HEADER, *(tick(n, *EVEN) for n in range(6)), *(tick(n, *HOT) for n in range(6, 12))]
    first, second = (b"".join(map(decision_line, replay(read(lines)))) for _ in range(2))
    assert first == second
    assert len(first.splitlines()) == 12


def test_missing_numbers_are_no_data_and_lead_to_nothing() -> None:
    silent = tick(12, *HOT).replace('"requests"', '"inFlight"', 1).replace('"inFlight": 3', '"age": 8600', 1)
    decisions = list(replay(read([HEADER, *(tick(n, *EVEN) for n in range(12)), silent])))
    assert decisions[-1].diagnosis.label is Label.NoData
    assert not any(isinstance(action, SetWeights) for action in decisions[-1].actions)


def test_a_signal_told_to_be_stale_is_no_data_although_there_are_numbers() -> None:
    stale = tick(12, *HOT, signals={"requests": {"age": 95.0}})
    decisions = list(replay(read([HEADER, *(tick(n, *EVEN) for n in range(12)), stale])))
    assert decisions[-1].diagnosis.label is Label.NoData


def test_a_header_alone_gives_no_decisions() -> None:
    assert list(replay(read([HEADER]))) == []
