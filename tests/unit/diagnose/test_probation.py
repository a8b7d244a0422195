"""An update on probation: what made things worse just where it changed something is its doing, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evenload.diagnose.update import LEVELS, Level, Levels
from evenload.engine import Engine
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import FIELD_MANAGER
from evenload.model.fleet import Fleet
from evenload.model.plan import Advise, Purpose, SetWeights
from evenload.model.snapshot import Hold, RouteWrite, Snapshot
from evenload.model.spec import BalancerSpec, Desired, Guard, GuardMode, Signals
from tests.unit.engine.build import NOW, later, snapshot, steps, write_of
from tests.unit.engine.plant import spec

EVEN = dict.fromkeys("abc", 100)
FAILS = {"requests": 240.0, "errors": 90.0}
TICK = 7.5
ADDITION = RouteWrite(manager="argocd-controller", time=NOW - 5, before=EVEN)
FILTER = RouteWrite(
    manager="argocd-controller",
    time=NOW - 5,
    before=dict.fromkeys("abcd", 100),
    elsewhere=("/spec/rules/0/filters",),
    undo="kubectl patch httproutes.gateway.networking.k8s.io shop",
)


def taught(of: BalancerSpec, calm: Snapshot) -> Engine:
    """One that has seen ten minutes of `calm`."""
    engine = Engine(of)
    for number in range(60):
        engine.step(later(calm, -600 + 10 * number))
    return engine


def after_update(
    sight: Snapshot, write: RouteWrite, *, ticks: int = 2, before: Snapshot | None = None, guard: Guard | None = None
) -> Decision:
    """The last decision of so many ticks after the update; ten minutes of `before` came before it."""
    engine = taught(spec(guard=guard or Guard()), before or snapshot(backends=write.before or "abcd"))
    decision = engine.step(later(sight, 0, last_write=write))
    for number in range(1, ticks):
        decision = engine.step(later(sight, TICK * number, last_write=write))
    return decision


def after_edit(now: BalancerSpec) -> Decision:
    """The last decision after an addition that fails, made seconds after the Balancer's spec became `now`."""
    engine = Engine(now, taught(spec(), snapshot(backends="abc")))
    sick = snapshot({"d-0": FAILS})
    return [engine.step(later(sick, TICK * number, last_write=ADDITION)) for number in range(2)][-1]


class TestAnUpdateJustAfterTheSpecWasEdited:
    def test_is_measured_against_what_was_before_the_edit(self) -> None:
        now = replace(spec(), guard=Guard(mode=GuardMode.Deny), history_limit=5)
        assert after_edit(now).diagnosis.label is Label.BadUpdate

    @pytest.mark.parametrize(
        "now",
        [
            replace(spec(), signals=Signals(min_requests_per_pod=5)),
            replace(spec(), desired=Desired(tolerance_percent=50)),
        ],
        ids=["other numbers", "other shares"],
    )
    def test_is_not_blamed_where_the_edit_changed_what_is_looked_at(self, now: BalancerSpec) -> None:
        assert after_edit(now).diagnosis.label is Label.Failing


class TestWhatAnUpdateAdded:
    def test_a_new_backend_that_fails_is_the_update_s_doing_and_gets_nothing(self) -> None:
        decision = after_update(snapshot({"d-0": FAILS}), ADDITION)
        diagnosis = decision.diagnosis
        assert (diagnosis.label, diagnosis.manager) == (Label.BadUpdate, "argocd-controller")
        assert (diagnosis.backends, diagnosis.pods) == (("d",), ("d-0",))
        assert diagnosis.sentence == (
            "d fails 38% of its requests since the update by argocd-controller at 08:53:15; the other backends do not"
        )
        write = write_of(decision)
        assert isinstance(write, SetWeights)
        assert (write.purpose, write.after) == (Purpose.Rollback, {**EVEN, "d": 0})
        assert decision.episode is EpisodeMove.Open

    def test_its_young_pods_are_no_excuse(self) -> None:
        assert after_update(snapshot({"d-0": {**FAILS, "age": 40.0}}), ADDITION).diagnosis.label is Label.BadUpdate

    def test_a_new_backend_that_is_late_is_the_update_s_doing_too(self) -> None:
        decision = after_update(snapshot({"d-0": {"latency": 0.4}}), ADDITION)
        assert decision.diagnosis.label is Label.BadUpdate
        assert decision.diagnosis.sentence.startswith("d answers in 400 ms (usual are 20 ms) since the update by")

    def test_one_tick_is_not_believed(self) -> None:
        assert after_update(snapshot({"d-0": FAILS}), ADDITION, ticks=1).diagnosis.label is not Label.BadUpdate

    def test_a_new_backend_that_is_well_is_left_alone(self) -> None:
        decision = after_update(snapshot(), ADDITION, ticks=8)
        assert (decision.diagnosis.label, write_of(decision)) == (Label.Healthy, None)

    def test_a_pod_of_another_backend_that_fails_is_not_blamed_on_it(self) -> None:
        assert after_update(snapshot({"a-0": FAILS}), ADDITION, ticks=6).diagnosis.label is Label.Failing

    def test_where_the_others_fail_too_the_addition_is_not_to_blame(self) -> None:
        sight = snapshot({f"{name}-0": FAILS for name in "abcd"})
        decision = after_update(sight, ADDITION, ticks=4)
        assert (decision.diagnosis.label, write_of(decision)) == (Label.Dependency, None)

    def test_weights_that_were_remembered_as_good_come_back_to_the_digit(self) -> None:
        good = {"a": 31, "b": 30, "c": 29}
        decision = after_update(snapshot({"d-0": FAILS}, known_good=good), ADDITION)
        write = write_of(decision)
        assert isinstance(write, SetWeights)
        assert write.after == {**good, "d": 0}

    def test_a_backend_that_was_given_more_within_the_tolerance_and_drowns_gets_its_old_share(self) -> None:
        more = {"a": 124, "b": 92, "c": 92, "d": 92}
        write = RouteWrite(manager="kubectl-edit", time=NOW - 5, before=dict.fromkeys("abcd", 100))
        decision = after_update(snapshot({"a-0": {"requests": 298.0, "errors": 60.0}}, weights=more), write)
        assert decision.diagnosis.label is Label.BadUpdate
        planned = write_of(decision)
        assert isinstance(planned, SetWeights)
        assert (planned.purpose, planned.after) == (Purpose.Restore, write.before)


class TestWhatIsNoWeight:
    def test_when_most_pods_fail_since_then_it_is_named_with_what_puts_it_back_and_nothing_is_written(self) -> None:
        decision = after_update(snapshot({f"{name}-0": FAILS for name in "abcd"}), FILTER)
        assert decision.diagnosis.label is Label.BadUpdate
        assert decision.diagnosis.sentence == (
            "most pods fail 38% of their requests since the update by argocd-controller at 08:53:15, which changed "
            "/spec/rules/0/filters"
        )
        assert write_of(decision) is None
        advice = next(action for action in decision.actions if isinstance(action, Advise))
        assert advice.topic == "BadUpdate"
        assert advice.because.endswith(f"nothing is undone; put it back with: {FILTER.undo}")

    def test_when_nothing_arrives_since_then_it_is_named(self) -> None:
        nothing = {f"{name}-0": {"requests": 0.0, "errors": 0.0} for name in "abcd"}
        decision = after_update(snapshot(nothing), FILTER)
        assert decision.diagnosis.label is Label.BadUpdate
        assert decision.diagnosis.sentence.startswith("almost nothing arrives (0.0 requests/s, usual are 64)")

    def test_a_pod_that_fails_alone_is_not_blamed_on_it(self) -> None:
        assert after_update(snapshot({"b-0": FAILS}), FILTER, ticks=6).diagnosis.label is Label.Failing


class TestWhatIsNotBlamed:
    def test_an_outage_that_was_there_before(self) -> None:
        outage = snapshot({f"{name}-0": FAILS for name in "abcd"})
        decision = after_update(outage, FILTER, ticks=4, before=outage)
        assert decision.diagnosis.label is Label.Dependency

    def test_an_update_whose_probation_is_over(self) -> None:
        old = RouteWrite(manager="helm", time=NOW - 200, before=EVEN)
        assert after_update(snapshot({"d-0": FAILS}), old, ticks=4, before=snapshot()).diagnosis.label is Label.Failing

    def test_our_own_write(self) -> None:
        ours = RouteWrite(manager=FIELD_MANAGER, time=NOW - 5, before=EVEN)
        assert after_update(snapshot({"d-0": FAILS}), ours, ticks=4).diagnosis.label is not Label.BadUpdate

    def test_anything_where_probation_is_off(self) -> None:
        off = Guard(probation="0s")
        assert after_update(snapshot({"d-0": FAILS}), ADDITION, ticks=4, guard=off).diagnosis.label is Label.Failing

    def test_a_canary_controller_s_update(self) -> None:
        hold = Hold(reason="ProgressiveDelivery", detail="Argo Rollout shop sets the weights")
        decision = after_update(snapshot({"d-0": FAILS}, holds=(hold,)), ADDITION)
        assert decision.diagnosis.label is Label.RolloutInProgress

    def test_weights_that_are_wrong_by_themselves_are_skew(self) -> None:
        bad = {"a": 970, "b": 10, "c": 10, "d": 10}
        write = RouteWrite(manager="kubectl-edit", time=NOW - 5, before=dict.fromkeys("abcd", 100))
        sight = snapshot({"a-0": {"requests": 931.0, "errors": 559.0}}, weights=bad)
        assert after_update(sight, write).diagnosis.label is Label.LoadBalancerSkew

    def test_an_update_before_which_nobody_looked(self) -> None:
        decision = steps(Engine(spec()), snapshot({"d-0": FAILS}, last_write=ADDITION), 6)
        assert decision.diagnosis.label is Label.Failing


class TestLevels:
    def test_the_worst_of_the_last_looks_before_the_update_counts(self) -> None:
        levels = Levels()
        for number, errors in enumerate([0.0, 30.0, 3.0]):
            levels.learn(NOW + 10 * number, Fleet(snapshot({"a-0": {"errors": errors}})))
        before = levels.before(RouteWrite(manager="helm", time=NOW + 25), 15.0)
        assert before == Level(time=NOW + 10, requests=960, errors=30)

    def test_looks_after_the_update_do_not_count_however_late_it_is_seen(self) -> None:
        levels = Levels()
        for number, errors in enumerate([0.0, 200.0]):
            levels.learn(NOW + 10 * number, Fleet(snapshot({"a-0": {"errors": errors}})))
        before = levels.before(RouteWrite(manager="helm", time=NOW + 5), 15.0)
        assert before is not None
        assert before.errors == 0

    def test_what_was_long_before_the_update_says_nothing(self) -> None:
        levels = Levels()
        levels.learn(NOW, Fleet(snapshot()))
        assert levels.before(RouteWrite(manager="helm", time=NOW + 46), 15.0) is None

    def test_unknown_errors_are_no_level(self) -> None:
        levels = Levels()
        levels.learn(NOW, Fleet(snapshot({f"{name}-0": {"errors": None} for name in "abcd"})))
        assert levels.before(RouteWrite(manager="helm", time=NOW + 5), 15.0) is None

    @given(st.lists(st.integers(0, 240), min_size=1, max_size=12))
    def test_only_the_last_few_looks_are_kept(self, errors: list[int]) -> None:
        levels = Levels()
        for number, count in enumerate(errors):
            levels.learn(NOW + 10 * number, Fleet(snapshot({"a-0": {"errors": float(count)}})))
        before = levels.before(RouteWrite(manager="helm", time=NOW + 10 * len(errors)), 15.0)
        assert before is not None
        assert before.errors == max(errors[-LEVELS:])


@pytest.mark.parametrize("seed", range(30))
def test_chance_alone_is_never_an_update_s_doing(seed: int) -> None:
    """Errors of 1% everywhere, before as after, in small numbers."""
    dice = np.random.default_rng(seed)

    def drawn() -> Snapshot:
        pods = {}
        for name in "abcd":
            requests = float(dice.poisson(40))
            pods[f"{name}-0"] = {"requests": requests, "errors": float(dice.binomial(int(requests), 0.01))}
        return snapshot(pods)

    engine = Engine(spec())
    for number in range(60):
        engine.step(later(drawn(), -600 + 10 * number))
    for number in range(20):
        decision = engine.step(later(drawn(), 10 * number, last_write=ADDITION))
        assert decision.diagnosis.label is not Label.BadUpdate
