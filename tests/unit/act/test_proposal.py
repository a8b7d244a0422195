"""The write that is held back stands in the record, and only anew when it is another one."""

from __future__ import annotations

import pytest

from evenload.act.proposal import proposed, write_of
from evenload.api.values import moment
from evenload.model.decision import Held, HeldReason
from evenload.model.plan import Drain, Freeze, Purpose, RestartPod, SetWeights, Write

BEFORE, AFTER = {"a": 970, "b": 30}, {"a": 500, "b": 500}
RESTORE = SetWeights(before=BEFORE, after=AFTER, purpose=Purpose.Restore, because="a bad update")
DRAIN = Drain(before=AFTER, after={"a": 0, "b": 500}, backend="a", pod="a-1", uid="u", because="sick")
RESTART = RestartPod(backend="a", pod="a-1", uid="u", workload="Deployment/a", because="sick")


def held(write: Write, reason: HeldReason = HeldReason.AwaitingApproval) -> Held:
    return Held(action=write, reason=reason)


@pytest.mark.parametrize("write", [RESTORE, DRAIN, RESTART])
def test_a_write_comes_back_whole_from_the_record(write: Write) -> None:
    found = proposed(None, (held(write),), 100.0)
    assert found is not None
    assert write_of(found) == write
    assert (found.computed_at, bool(found.effect)) == (moment(100.0), True)


def test_nothing_is_proposed_where_no_write_is_held() -> None:
    known = proposed(None, (held(RESTORE),), 100.0)
    freeze = Held(action=Freeze(because="no data"), reason=HeldReason.Frozen)
    assert proposed(known, (), 110.0) is None
    assert proposed(known, (freeze,), 110.0) is None


@pytest.mark.parametrize("reason", [HeldReason.AwaitingApproval, HeldReason.ObserveMode])
def test_what_a_person_is_asked_comes_before_what_other_guards_hold(reason: HeldReason) -> None:
    found = proposed(None, (held(DRAIN, HeldReason.Headroom), held(RESTORE, reason)), 100.0)
    assert found is not None
    assert found.purpose is Purpose.Restore


def test_weights_that_moved_by_less_than_a_twentieth_are_the_same_proposal() -> None:
    known = proposed(None, (held(RESTORE),), 100.0)
    nearly = SetWeights(before=BEFORE, after={"a": 520, "b": 480}, purpose=Purpose.Restore, because="again")
    assert proposed(known, (held(nearly),), 110.0) is known
    other = SetWeights(before=BEFORE, after={"a": 560, "b": 440}, purpose=Purpose.Restore, because="again")
    assert proposed(known, (held(other),), 110.0) is not known


def test_another_write_or_other_weights_before_it_are_another_proposal() -> None:
    known = proposed(None, (held(RESTORE),), 100.0)
    moved = SetWeights(before={"a": 960, "b": 40}, after=AFTER, purpose=Purpose.Restore, because="")
    for other in (moved, DRAIN, RESTART):
        found = proposed(known, (held(other),), 110.0)
        assert found is not None
        assert found.computed_at == moment(110.0)
