"""The journal: a line for each change, none for a quiet tick."""

from __future__ import annotations

import json
from io import StringIO

import structlog

from evenload.model.decision import HeldReason
from evenload.model.episode import Phase
from evenload.model.plan import Purpose, SetWeights
from evenload.record.journal import Journal
from tests.unit.record.scenes import healthy, held, skewed


def lines(out: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def journal(out: StringIO) -> Journal:
    return Journal(structlog.wrap_logger(structlog.PrintLogger(out), processors=[structlog.processors.JSONRenderer()]))


def test_ticks_that_only_differ_in_figures_give_one_line() -> None:
    out = StringIO()
    told = journal(out)
    assert told.tell("shop", "shop", skewed(1000.0, ratio=3.9)) is True
    assert told.tell("shop", "shop", skewed(1010.0, ratio=3.1)) is False
    assert told.tell("shop", "shop", healthy(1020.0)) is True
    assert [line["diagnosis"] for line in lines(out)] == ["LoadBalancerSkew", "Healthy"]


def test_a_line_has_what_a_person_asks_for_and_no_empty_fields() -> None:
    out = StringIO()
    restore = SetWeights(before={"a": 1}, after={"a": 2}, purpose=Purpose.Restore, because="a bad update")
    decision = skewed(1000.0, actions=(restore,), held=(held(HeldReason.CoolDown, "3 min"),), phase=Phase.Executing)
    journal(out).tell("shop", "checkout", decision)
    (line,) = lines(out)
    assert line == {
        "event": "decision",
        "namespace": "shop",
        "balancer": "checkout",
        "time": 1000.0,
        "diagnosis": "LoadBalancerSkew",
        "backends": ["shop-d"],
        "sentence": "shop-d takes 98% at 1000.0",
        "phase": "Executing",
        "actions": ["SetWeights: a bad update"],
        "held": ["CoolDown: 3 min"],
        "error_ratio": 0.35,
        "requests_per_second": 200.0,
        "worst_ratio": 3.9,
    }


def test_each_balancer_has_its_own_memory_and_a_forgotten_one_none() -> None:
    told = journal(StringIO())
    assert told.tell("a", "shop", healthy()) is True
    assert told.tell("b", "shop", healthy()) is True
    told.forget("a", "shop")
    assert told.tell("a", "shop", healthy()) is True
