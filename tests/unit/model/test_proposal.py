"""What whoever approves is told of a write: which weights or pod, what it brings."""

from __future__ import annotations

import pytest

from evenload.model.decision import Held, HeldReason
from evenload.model.plan import Drain, Freeze, Purpose, RestartPod, SetWeights
from evenload.model.proposal import effect, said, wanted

BEFORE, AFTER = {"a": 970, "b": 30}, {"a": 500, "b": 500}
RESTART = RestartPod(backend="a", pod="a-1", uid="u", workload="Deployment/a", because="")
DRAIN = Drain(before=BEFORE, after={"a": 0, "b": 30}, backend="a", pod="a-1", uid="u", because="")


def weights(purpose: Purpose) -> SetWeights:
    return SetWeights(before=BEFORE, after=AFTER, purpose=purpose, because="")


def test_a_change_of_weights_is_told_in_numbers_and_per_cent_before_and_after() -> None:
    assert wanted(weights(Purpose.Restore)) == "set the weights a 970 -> 500 (97% -> 50%), b 30 -> 500 (3% -> 50%)"


def test_a_restart_names_the_pod_and_who_replaces_it() -> None:
    assert wanted(RESTART) == "restart pod a-1 of a: it is evicted, and Deployment/a replaces it"
    assert "cannot be undone" in effect(RESTART)


def test_a_drain_names_the_pod_that_is_restarted_after_it() -> None:
    assert wanted(DRAIN) == "drain a to restart its pod a-1: a 970 -> 0 (97% -> 0%)"
    assert effect(DRAIN) == "no new request goes to a, so that restarting a-1 fails none"


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_says_what_it_brings(purpose: Purpose) -> None:
    assert effect(DRAIN if purpose is Purpose.Drain else weights(purpose))


def test_a_held_write_says_what_would_be_done_before_why_it_is_not() -> None:
    held = Held(action=RESTART, reason=HeldReason.Budget, detail="0 of 3 left")
    assert said(held) == f"would {wanted(RESTART)}: 0 of 3 left"


def test_what_is_no_write_says_why_it_is_held() -> None:
    assert said(Held(action=Freeze(because="no data"), reason=HeldReason.Frozen)) == "no data"
