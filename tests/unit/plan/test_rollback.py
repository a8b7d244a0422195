"""A bad update taken back: the weights before it, and nothing for what it added until that is something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.plan import Advise, Purpose, SetWeights
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.plan.moves import Plan
from evenload.plan.progress import continue_ejection
from evenload.plan.rollback import roll_back
from tests.unit.engine.build import NOW, snapshot
from tests.unit.plan.scenes import EVEN, episode, scene, step

ABC = dict.fromkeys("abc", 100)
BAD = Diagnosis(label=Label.BadUpdate, backends=("d",), sentence="d fails")


def planned(sight: Snapshot, diagnosis: Diagnosis = BAD) -> Plan:
    plan = roll_back(scene(sight, diagnosis))
    assert plan is not None
    return plan


def updated(before: dict[str, int] | None, **changes: object) -> Snapshot:
    return snapshot(last_write=RouteWrite(manager="helm", time=NOW - 9, before=before), **changes)  # type: ignore[arg-type]


def test_without_a_bad_update_there_is_nothing_to_take_back() -> None:
    assert roll_back(scene(updated(ABC), Label.Failing)) is None


def test_several_additions_get_nothing_whichever_of_them_suffers() -> None:
    write = planned(updated(dict.fromkeys("ab", 100))).writes[0]
    assert isinstance(write, SetWeights)
    assert write.after == {"a": 100, "b": 100, "c": 0, "d": 0}
    assert write.because == "d fails; putting back 100/100/0/0; c, d get nothing for now"


def test_where_the_weights_before_were_not_seen_the_update_is_only_named() -> None:
    plan = planned(updated(None))
    assert plan.writes == ()
    assert isinstance(plan.tell[0], Advise)


def test_a_backend_that_lost_its_pods_since_gets_nothing_back() -> None:
    plan = planned(updated(ABC, pods={"a-0": {"ready": False}}))
    write = plan.writes[0]
    assert isinstance(write, SetWeights)
    assert write.after == {"a": 0, "b": 100, "c": 100, "d": 0}


def test_where_only_what_was_added_is_there_nothing_is_written() -> None:
    gone = {f"{name}-0": {"ready": False} for name in "abc"}
    assert planned(updated(ABC, pods=gone)).writes == ()


@given(
    before=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000)),
    good=st.none() | st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1000)),
    ready=st.sets(st.sampled_from("abcd")),
)
def test_whatever_was_before_a_write_names_each_backend_and_feeds_only_who_answers(
    before: dict[str, int], good: dict[str, int] | None, ready: set[str]
) -> None:
    pods = {f"{name}-0": {"ready": name in ready} for name in "abcd"}
    for write in planned(updated(before, pods=pods, known_good=good)).writes:
        assert isinstance(write, SetWeights)
        assert write.after.keys() == set("abcd")
        fed = {name for name, weight in write.after.items() if weight}
        assert fed
        assert fed <= ready & before.keys()


class TestAfterIt:
    def going_on(self, **pod: object) -> Plan:
        rolled_back = {**EVEN, "d": 0}
        steps = episode(step(Purpose.Rollback, EVEN, rolled_back, 60))
        sight = snapshot({"d-0": pod}, weights=rolled_back, episode=steps)
        plan = continue_ejection(scene(sight, Label.Healthy))
        assert plan is not None
        return plan

    def test_the_pods_that_failed_get_nothing_however_long_it_lasts(self) -> None:
        plan = self.going_on(created_at=NOW - 3600)
        assert (plan.writes, plan.close) == ((), None)
        assert plan.busy == "d gets nothing until the update is corrected or its pods are others"

    def test_pods_whose_age_nobody_knows_are_taken_for_the_old_ones(self) -> None:
        assert self.going_on(created_at=None).writes == ()

    @pytest.mark.parametrize("created", [NOW - 30, NOW - 60.5], ids=["later", "in the very second"])
    def test_pods_that_were_made_since_get_their_chance_step_by_step(self, created: float) -> None:
        write = self.going_on(created_at=created).writes[0]
        assert isinstance(write, SetWeights)
        assert write.purpose is Purpose.Ramp
        assert 0 < write.after["d"] < write.after["a"]

    def test_no_ready_pod_is_no_new_pod(self) -> None:
        assert self.going_on(created_at=NOW - 30, ready=False).writes == ()
