"""Steps judged: by the weights as they are, then by what traffic does."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.diagnosis import Label
from evenload.model.episode import ANOTHER_EVENLOAD, FIELD_MANAGER, Episode, Phase, Step, StepState
from evenload.model.fleet import Fleet
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights
from evenload.model.policy import Policy
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.verify import Memory, Verification, verify
from tests.unit.engine.build import NOW, later, snapshot
from tests.unit.engine.plant import spec

POLICY = Policy.of(spec())
EVEN = dict.fromkeys("abcd", 100)
BAD = {"a": 970, "b": 10, "c": 10, "d": 10}


def step(**changes: object) -> Step:
    fields: dict[str, object] = {
        "name": "1-restore",
        "action": "SetWeights",
        "state": StepState.Planned,
        "planned_at": NOW - 5,
        "purpose": Purpose.Restore,
        "before": BAD,
        "after": EVEN,
        "message": "because",
        "error_ratio": 0.02,
        "requests_per_second": 64.0,
        **changes,
    }
    return Step(**fields)  # type: ignore[arg-type]


def applied(seconds_ago: float = 60.0, **changes: object) -> Step:
    fields: dict[str, object] = {"state": StepState.Applied, "applied_at": NOW - seconds_ago, **changes}
    return step(**fields)


def eviction(**changes: object) -> Step:
    return step(
        name="3-restart",
        action="RestartPod",
        purpose=None,
        before=None,
        after=None,
        backend="a",
        pod="a-0",
        uid="uid-a-0",
        workload="Deployment/a",
        **changes,
    )


def judged(sight: Snapshot, *steps: Step, memory: Memory | None = None, readable: bool = True) -> Verification:
    episode = Episode(name="r", opened_at=NOW - 60, label=Label.LoadBalancerSkew, phase=Phase.Executing, steps=steps)
    seen = Snapshot(**{name: getattr(sight, name) for name in sight.__struct_fields__} | {"episode": episode})
    return verify(seen, Fleet(seen), POLICY, memory or Memory(), readable=readable)


def states(verification: Verification) -> dict[str, StepState]:
    return {verdict.step: verdict.state for verdict in verification.verdicts}


def test_without_an_episode_there_is_nothing_to_judge() -> None:
    assert verify(snapshot(), Fleet(snapshot()), POLICY, Memory(), readable=True) == Verification()


def test_a_planned_write_that_landed_is_applied() -> None:
    verification = judged(snapshot(), step())
    assert states(verification) == {"1-restore": StepState.Applied}
    assert verification.episode is not None
    assert verification.episode.steps[0].applied_at == NOW


def test_a_planned_write_that_did_not_land_is_made_again() -> None:
    verification = judged(snapshot(weights=BAD), step())
    assert verification.resume == SetWeights(
        before=BAD, after=EVEN, purpose=Purpose.Restore, because="because", step="1-restore"
    )
    assert verification.waiting


def test_a_planned_drain_is_made_again_as_a_drain() -> None:
    drain = step(
        action="Drain", purpose=Purpose.Drain, before=EVEN, after={**EVEN, "a": 0}, backend="a", pod="a-0", uid="u"
    )
    resume = judged(snapshot(), drain).resume
    assert isinstance(resume, Drain)
    assert (resume.backend, resume.uid, resume.step) == ("a", "u", "1-restore")


def test_a_planned_revert_is_made_again_as_the_revert_of_its_step() -> None:
    resume = judged(snapshot(weights=BAD), step(purpose=Purpose.Revert, reverts="0-x")).resume
    assert isinstance(resume, SetWeights)
    assert (resume.purpose, resume.reverts) == (Purpose.Revert, "0-x")


def test_a_plan_from_another_time_is_abandoned() -> None:
    verification = judged(snapshot(weights=BAD), step(planned_at=NOW - 121))
    assert states(verification) == {"1-restore": StepState.Abandoned}
    assert verification.resume is None
    assert verification.episode is not None
    assert verification.episode.steps[0].applied_at is None


def test_a_plan_of_two_minutes_ago_is_still_this_situations() -> None:
    assert judged(snapshot(weights=BAD), step(planned_at=NOW - 120)).resume is not None


def test_weights_that_are_neither_belong_to_somebody_else_by_name() -> None:
    sight = snapshot(weights={"a": 5}, last_write=RouteWrite(manager="argocd", time=NOW - 1))
    verification = judged(sight, step())
    assert states(verification) == {"1-restore": StepState.Overwritten}
    assert verification.verdicts[0].manager == "argocd"
    assert verification.verdicts[0].because == "the weights were set to 5/100/100/100 by argocd"


def test_nobody_known_wrote_them() -> None:
    assert judged(snapshot(weights={"a": 5}), step()).verdicts[0].because == "the weights were set to 5/100/100/100"


@pytest.mark.parametrize(
    ("change", "because"), [({"uid": "another"}, "a-0 is gone"), ({"terminating": True}, "a-0 is terminating")]
)
def test_an_eviction_landed_when_the_very_pod_goes(change: dict[str, object], because: str) -> None:
    verification = judged(snapshot({"a-0": change}), eviction())
    assert states(verification) == {"3-restart": StepState.Applied}
    assert verification.verdicts[0].because == because


def test_an_eviction_that_did_not_land_is_made_again() -> None:
    verification = judged(snapshot(), eviction())
    resume = verification.resume
    assert isinstance(resume, RestartPod)
    assert (resume.pod, resume.uid, resume.workload, resume.step) == ("a-0", "uid-a-0", "Deployment/a", "3-restart")
    assert verification.waiting


def test_our_own_weights_overwritten_later_are_noticed() -> None:
    sight = snapshot(weights=BAD, last_write=RouteWrite(manager="helm", time=NOW - 1))
    assert states(judged(sight, applied(state=StepState.Verified))) == {"1-restore": StepState.Overwritten}


def test_a_view_that_lags_behind_our_write_is_waited_for() -> None:
    verification = judged(snapshot(weights=BAD), applied(3.0))
    assert verification.verdicts == ()
    assert verification.waiting
    assert judged(snapshot(weights=BAD), applied(9.5)).waiting
    assert states(judged(snapshot(weights=BAD), applied(10.0))) == {"1-restore": StepState.Overwritten}


def test_a_foreign_write_before_ours_is_no_reason_for_what_is_seen_now() -> None:
    sight = snapshot(weights=BAD, last_write=RouteWrite(manager="helm", time=NOW - 500))
    assert judged(sight, applied(3.0)).waiting


def test_a_foreign_write_after_ours_is_no_lag() -> None:
    sight = snapshot(weights=BAD, last_write=RouteWrite(manager="helm", time=NOW - 1))
    assert states(judged(sight, applied(3.0))) == {"1-restore": StepState.Overwritten}


def test_two_foreign_overwrites_make_it_contested_and_our_own_do_not_count() -> None:
    def contest(*managers: str | None) -> str | None:
        steps = [
            applied(name=f"{i}-x", state=StepState.Overwritten, manager=manager) for i, manager in enumerate(managers)
        ]
        return judged(snapshot(weights=BAD), *steps).contested_by

    assert contest("helm", "argocd") == "argocd"
    assert contest("helm", "argocd", "flux") == "flux"
    assert contest("helm", None) == "another writer"
    assert contest("helm", "evenload") is None
    assert contest("helm") is None


@pytest.mark.parametrize(
    ("found", "seconds_ago", "manager"),
    [
        ({"a": 5}, 30.0, ANOTHER_EVENLOAD),  # no step of ours knows these weights, whenever they were written
        ({"a": 5}, 500.0, ANOTHER_EVENLOAD),
        (BAD, 30.0, ANOTHER_EVENLOAD),  # what we found was put back after we changed it
        (BAD, 500.0, FIELD_MANAGER),  # we see what we found, from before: the view lags
    ],
)
def test_our_own_name_is_anothers_where_no_step_of_ours_wrote_that(
    found: dict[str, int], seconds_ago: float, manager: str
) -> None:
    sight = snapshot(weights=found, last_write=RouteWrite(manager=FIELD_MANAGER, time=NOW - seconds_ago))
    (verdict,) = judged(sight, applied(60.0)).verdicts
    assert (verdict.state, verdict.manager) == (StepState.Overwritten, manager)


def test_a_write_within_our_second_may_have_come_after_ours() -> None:
    sight = snapshot(weights=BAD, last_write=RouteWrite(manager=FIELD_MANAGER, time=float(int(NOW - 60.0))))
    (verdict,) = judged(sight, applied(NOW - int(NOW - 60.0) - 0.4)).verdicts
    assert verdict.manager == ANOTHER_EVENLOAD


def test_another_evenload_that_puts_its_weights_back_twice_makes_it_contested() -> None:
    first = applied(90.0, name="1-x", state=StepState.Overwritten, manager=ANOTHER_EVENLOAD)
    sight = snapshot(weights=BAD, last_write=RouteWrite(manager=FIELD_MANAGER, time=NOW - 20))
    assert judged(sight, first, applied(40.0, name="2-x")).contested_by == ANOTHER_EVENLOAD
    assert judged(sight, applied(40.0, name="2-x")).contested_by is None


def test_a_plan_that_found_other_weights_under_our_name_is_anothers() -> None:
    sight = snapshot(weights={"a": 5}, last_write=RouteWrite(manager=FIELD_MANAGER, time=NOW - 1))
    assert judged(sight, step()).verdicts[0].manager == ANOTHER_EVENLOAD


def ticks(sight: Snapshot, *steps: Step, count: int) -> Verification:
    memory, verification = Memory(), Verification()
    for number in range(count):
        verification = judged(later(sight, 5.0 * number), *steps, memory=memory)
    return verification


def test_traffic_that_followed_for_three_clean_ticks_verifies_the_step() -> None:
    assert ticks(snapshot(), applied(), count=2).verdicts == ()
    verification = ticks(snapshot(), applied(), count=3)
    assert states(verification) == {"1-restore": StepState.Verified}
    assert verification.verdicts[0].because == "traffic is within 0% of it"


def test_ticks_count_from_the_first_window_without_older_requests() -> None:
    """15 s of window and 2.5 s until the proxy follows: the first such tick is 17.5 s after the write."""
    assert ticks(snapshot(), applied(17.4), count=3).verdicts == ()
    assert states(ticks(snapshot(), applied(17.5), count=3)) == {"1-restore": StepState.Verified}


def test_ticks_are_counted_anew_for_another_step() -> None:
    memory = Memory()
    for number, name in enumerate(("1-a", "1-a", "2-b", "2-b")):
        assert judged(later(snapshot(), 5.0 * number), applied(name=name), memory=memory).verdicts == ()


def test_a_step_is_judged_once() -> None:
    assert ticks(snapshot(), applied(state=StepState.Verified), count=4).verdicts == ()


def test_half_of_a_large_movement_is_enough_to_have_followed() -> None:
    sight = snapshot({"a-0": {"requests": 589.0}})  # 45% of all instead of 25%, where it had 97%
    verification = ticks(sight, applied(), count=3)
    assert states(verification) == {"1-restore": StepState.Verified}
    assert verification.verdicts[0].because == "traffic is within 20% of it"


def test_a_small_movement_has_followed_where_traffic_is_within_its_noise() -> None:
    small = applied(before=EVEN, after={"a": 110, "b": 90, "c": 100, "d": 100})
    sight = snapshot({"a-0": {"requests": 360.0}}, weights={"a": 110, "b": 90})
    assert states(ticks(sight, small, count=3)) == {"1-restore": StepState.Verified}


def test_unreadable_traffic_judges_nothing_but_weights_still_tell() -> None:
    assert judged(snapshot(), applied(), readable=False).verdicts == ()
    assert states(judged(snapshot(), step(), readable=False)) == {"1-restore": StepState.Applied}


def test_traffic_that_stays_where_it_was_for_five_clean_ticks_is_ineffective() -> None:
    stuck = snapshot({"a-0": {"requests": 9000.0}})
    assert ticks(stuck, applied(), count=4).verdicts == ()
    verification = ticks(stuck, applied(), count=5)
    assert states(verification) == {"1-restore": StepState.Ineffective}
    assert "still go elsewhere after 5 ticks" in verification.verdicts[0].because


def test_the_law_judges_its_own_steps() -> None:
    stuck = snapshot({"a-0": {"requests": 9000.0}})
    assert ticks(stuck, applied(purpose=Purpose.Rebalance), count=9).verdicts == ()


def test_without_requests_traffic_says_nothing() -> None:
    assert ticks(snapshot({f"{n}-0": {"requests": 0.0} for n in "abcd"}), applied(), count=9).verdicts == ()


def test_a_step_that_another_one_stands_on_is_verified() -> None:
    drain = applied(30.0, name="2-drain", action="Drain", purpose=Purpose.Drain, before=EVEN, after={**EVEN, "a": 0})
    verification = judged(snapshot(weights={"a": 0}), applied(), drain)
    assert states(verification) == {"1-restore": StepState.Verified}


WORSE = {f"{n}-0": {"errors": 24.0} for n in "abcd"}


def test_errors_that_more_than_double_for_three_ticks_condemn_the_step() -> None:
    assert ticks(snapshot(WORSE), applied(), count=2).harmful is None
    verification = ticks(snapshot(WORSE), applied(), count=3)
    assert verification.harmful is not None
    assert verification.harmful.name == "1-restore"


def test_two_and_a_half_times_the_errors_are_more_than_double() -> None:
    assert ticks(snapshot(WORSE), applied(error_ratio=0.04), count=3).harmful is not None


@pytest.mark.parametrize(("now", "condemned"), [(0.0837, True), (0.0820, False)])
def test_three_standard_errors_tell_harm_from_chance(now: float, condemned: bool) -> None:
    """At 4% of 188 requests the standard error is 1.43 points: 4.29 points are three of them."""
    sight = snapshot({f"{n}-0": {"requests": 47.0, "errors": 47.0 * now} for n in "abcd"})
    verification = ticks(sight, applied(error_ratio=0.04, requests_per_second=188 / 15), count=3)
    assert (verification.harmful is not None) is condemned


@pytest.mark.parametrize(
    "known",
    [
        {"error_ratio": 0.06},  # not doubled
        {"error_ratio": None},  # nothing to compare with
        {"requests_per_second": 40.0},  # the total moved by more than 1.3, upwards
        {"requests_per_second": 90.0},  # or downwards
        {"requests_per_second": None},
        {"purpose": Purpose.Revert},  # there is nothing behind a revert to go back to
    ],
)
def test_errors_that_may_come_from_elsewhere_condemn_nothing(known: dict[str, object]) -> None:
    assert ticks(snapshot(WORSE), applied(60.0, **known), count=4).harmful is None


def test_a_doubling_within_a_point_or_within_chance_condemns_nothing() -> None:
    one = {f"{n}-0": {"errors": 1.5} for n in "abcd"}
    assert ticks(snapshot(one), applied(error_ratio=0.001), count=4).harmful is None
    few = {f"{n}-0": {"requests": 10.0, "errors": 1.0} for n in "abcd"}
    assert ticks(snapshot(few), applied(error_ratio=0.045, requests_per_second=40 / 15), count=4).harmful is None


def test_a_neutral_change_is_almost_never_condemned_and_a_harmful_one_nearly_always_is() -> None:
    dice = np.random.default_rng(3)

    def condemned(before: float, now: float) -> int:
        found = 0
        for _ in range(60):
            memory = Memory()
            harmful = False
            for tick in range(3):
                errors = {f"{n}-0": {"errors": float(dice.binomial(240, now))} for n in "abcd"}
                verification = judged(later(snapshot(errors), 5.0 * tick), applied(error_ratio=before), memory=memory)
                harmful = harmful or verification.harmful is not None
            found += harmful
        return found

    assert condemned(0.02, 0.02) == 0
    assert condemned(0.02, 0.08) >= 57


DRAINED = {**EVEN, "a": 0}
PROBED = {"a": 10, "b": 200, "c": 200, "d": 200}


def given_back(**errors: float) -> Snapshot:
    """The sick backend `a` gets a probe's worth of traffic again; errors by backend."""
    pods: dict[str, dict[str, object]] = {f"{name}-0": {"errors": count} for name, count in errors.items()}
    return snapshot({**pods, "a-0": {"requests": 12.0, **pods.get("a-0", {})}}, weights=PROBED)


def condemned(sight: Snapshot) -> bool:
    back = applied(purpose=Purpose.Eject, before=DRAINED, after=PROBED, requests_per_second=48.8)
    return ticks(sight, back, count=3).harmful is not None


def test_what_a_sick_backend_fails_of_what_it_gets_again_condemns_nothing() -> None:
    assert not condemned(given_back(a=12.0, b=14.0))


def test_a_healthy_backend_that_the_same_step_overloads_condemns_it() -> None:
    assert condemned(given_back(b=120.0))
    assert condemned(given_back(a=12.0, b=120.0))


def test_where_nobody_else_is_asked_the_return_of_a_sick_backend_condemns_nothing() -> None:
    alone: dict[str, dict[str, object]] = {f"{name}-0": {"requests": 0.0, "errors": 0.0} for name in "bcd"}
    assert not condemned(snapshot({**alone, "a-0": {"requests": 732.0, "errors": 700.0}}, weights=PROBED))
