"""What people are told: each thing once, on the Balancer and on the workload, and nothing a restart would repeat."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.api.v1alpha1 import ObjectMeta
from evenload.errors import Conflict, KubeError, NotFound, Unavailable
from evenload.kube.resources import DEPLOYMENTS, EVENTS, Manifest, Resource
from evenload.model.decision import EpisodeMove, HeldReason, Verdict
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.plan import Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Backend, RouteWrite, Snapshot
from evenload.record.events import REASONS, Bulletin, Chronicle, Happening, Reason, applied, refused, timeline
from tests.support.faults import Faulty
from tests.support.memory import MemoryCluster
from tests.unit.record.scenes import healthy, held, pod, skewed, snapshot

BALANCER = ObjectMeta(name="shop", namespace="shop", uid="u-1")
RESTART = RestartPod(backend="shop-d", pod="shop-d-1", uid="u", workload="Deployment/shop-d", because="it stays sick")
WOULD_RESTART = "would restart pod shop-d-1 of shop-d: it is evicted, and Deployment/shop-d replaces it"
BEFORE, AFTER = {"a": 970, "b": 10}, {"a": 250, "b": 10}
RESTORE = SetWeights(before=BEFORE, after=AFTER, purpose=Purpose.Restore, because="")


def episode(*steps: Step) -> Episode:
    return Episode(name="shop-1", opened_at=1000.0, label=Label.LoadBalancerSkew, phase=Phase.Executing, steps=steps)


def step(name: str = "1-restore", **fields: Any) -> Step:
    given = {"action": "SetWeights", "state": StepState.Applied, "planned_at": 1.0, "before": BEFORE, "after": AFTER}
    return Step(**{"name": name, **given, **fields})


def reasons(happenings: tuple[Happening, ...]) -> list[Reason]:
    return [happening.reason for happening in happenings]


def only(happenings: tuple[Happening, ...]) -> Happening:
    (happening,) = happenings
    return happening


def test_every_reason_is_documented_with_a_sentence_and_is_its_own_word() -> None:
    assert REASONS.keys() == set(Reason)
    assert all(sentence.endswith(".") and len(sentence) > 20 for sentence in REASONS.values())
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", reason) and reason == reason.name for reason in Reason)


def test_a_quiet_tick_tells_nothing() -> None:
    chronicle = Chronicle()
    assert chronicle.happenings(snapshot(), healthy()) == ()
    assert chronicle.happenings(snapshot(1010.0), healthy(1010.0)) == ()


def test_an_opened_episode_is_told_with_its_sentence() -> None:
    told = only(Chronicle().happenings(snapshot(), skewed(episode=EpisodeMove.Open)))
    assert (told.reason, told.note) == (Reason.ImbalanceDetected, "LoadBalancerSkew: shop-d takes 98% at 1000.0")
    other = healthy(diagnosis=Diagnosis(label=Label.Failing, sentence="x"), episode=EpisodeMove.Open)
    assert only(Chronicle().happenings(snapshot(), other)).reason is Reason.FaultDetected


def test_an_opening_that_has_to_be_tried_again_is_one_and_the_same() -> None:
    chronicle = Chronicle()
    first = only(chronicle.happenings(snapshot(), skewed(1000.0, episode=EpisodeMove.Open)))
    assert only(chronicle.happenings(snapshot(1010.0), skewed(1010.0, episode=EpisodeMove.Open))).key == first.key


def test_what_is_held_is_told_when_its_reason_is_new() -> None:
    chronicle = Chronicle()
    budget = skewed(held=(held(HeldReason.Budget, "0 of 3 left", RESTART),))
    told = only(chronicle.happenings(snapshot(), budget))
    assert (told.reason, told.note) == (Reason.Held, "Budget: " + WOULD_RESTART + ": 0 of 3 left")
    assert told.workload == "Deployment/shop-d"
    assert chronicle.happenings(snapshot(), budget) == ()
    assert chronicle.happenings(snapshot(), skewed()) == ()
    assert reasons(chronicle.happenings(snapshot(), budget)) == [Reason.Held]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (HeldReason.AwaitingApproval, [Reason.ApprovalNeeded]),
        (HeldReason.Contested, [Reason.Contested]),
        (HeldReason.ObserveMode, [Reason.Held]),
        (HeldReason.WriteInterval, []),
    ],
)
def test_some_reasons_to_hold_have_words_of_their_own(reason: HeldReason, told: list[Reason]) -> None:
    decision = skewed(held=(held(reason, "why"),))
    assert reasons(Chronicle().happenings(snapshot(episode=episode()), decision)) == told


def test_an_approval_that_is_needed_says_the_write_the_command_and_what_it_should_bring() -> None:
    decision = skewed(held=(held(HeldReason.AwaitingApproval, "", RESTORE),))
    told = only(Chronicle("web").happenings(snapshot(episode=episode()), decision))
    assert told.note == (
        "AwaitingApproval: would set the weights a 970 -> 250 (99% -> 96%); "
        "evenload approve shop-1 -n web (or deny; later: undo); it should bring: traffic is split by these weights "
        "again, the desired ones or the last that were seen to work"
    )


def test_an_approval_is_asked_for_once_the_remediation_has_a_name_to_approve() -> None:
    chronicle, decision = Chronicle("web"), skewed(held=(held(HeldReason.AwaitingApproval, "", RESTART),))
    assert chronicle.happenings(snapshot(), decision) == ()
    told = only(chronicle.happenings(snapshot(episode=episode()), decision))
    assert told.note.startswith(f"AwaitingApproval: {WOULD_RESTART}; evenload approve shop-1 -n web")
    assert chronicle.happenings(snapshot(episode=episode()), decision) == ()


def test_in_observe_mode_the_event_says_what_would_be_done_and_what_that_should_bring() -> None:
    told = only(Chronicle().happenings(snapshot(), skewed(held=(held(HeldReason.ObserveMode, "", RESTORE),))))
    assert "would set the weights a 970 -> 250 (99% -> 96%); it should bring: " in told.note


@given(names=st.lists(st.from_regex(r"[a-z]([a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), unique=True, max_size=64))
def test_however_many_backends_the_commands_and_whole_numbers_fit_into_an_event(names: list[str]) -> None:
    before, after = dict.fromkeys(names, 1_000_000), dict.fromkeys(names, 999_999)
    write = SetWeights(before=before, after=after, purpose=Purpose.Restore, because="")
    asked = only(
        Chronicle("n" * 63).happenings(
            snapshot(episode=episode()), skewed(held=(held(HeldReason.AwaitingApproval, "", write),))
        )
    )
    command = asked.note.index("(or deny; later: undo)")
    assert len(asked.note[:command].encode()) < 1000


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (StepState.Verified, Reason.Verified),
        (StepState.Ineffective, Reason.Ineffective),
        (StepState.Reverted, Reason.RolledBack),
        (StepState.Overwritten, Reason.Overwritten),
    ],
)
def test_verdicts_of_traffic_are_told(state: StepState, reason: Reason) -> None:
    verdict = Verdict(step="2-restart", state=state, because="as predicted", manager="argocd")
    decision = healthy(verdicts=(verdict,))
    restarted = step("2-restart", action="RestartPod", workload="Deployment/shop-d")
    told = only(Chronicle().happenings(snapshot(episode=episode(restarted)), decision))
    assert (told.reason, told.note) == (reason, "step 2-restart by argocd: as predicted")
    assert told.workload == "Deployment/shop-d"


def test_a_verdict_that_only_says_a_write_landed_is_no_event() -> None:
    decision = healthy(verdicts=(Verdict(step="1-restore", state=StepState.Applied, because=""),))
    assert Chronicle().happenings(snapshot(episode=episode(step())), decision) == ()


@pytest.mark.parametrize(("phase", "reason"), [(Phase.Succeeded, Reason.Resolved), (Phase.Failed, Reason.Unresolved)])
def test_a_closed_episode_says_how_it_ended(phase: Phase, reason: Reason) -> None:
    decision = healthy(episode=EpisodeMove.Close, phase=phase, sentence="All is even.")
    told = only(Chronicle().happenings(snapshot(episode=episode()), decision))
    assert (told.reason, told.note) == (reason, f"Remediation shop-1: {phase}. All is even.")


def written(manager: str, time: float) -> Snapshot:
    return snapshot(last_write=RouteWrite(manager=manager, time=time))


def test_a_change_of_the_route_names_its_writer_and_the_weights() -> None:
    chronicle = Chronicle()
    assert chronicle.happenings(written("helm", 900.0), healthy()) == ()
    told = only(chronicle.happenings(written("kubectl-edit", 950.0), healthy()))
    assert (told.reason, told.time) == (Reason.RouteChanged, 950.0)
    assert told.note.startswith("kubectl-edit changed the route; its weights now: shop-a=250")
    assert chronicle.happenings(written("kubectl-edit", 950.0), healthy()) == ()
    assert chronicle.happenings(written("evenload", 960.0), healthy()) == ()


def test_lost_signals_are_told_when_they_go_not_when_they_never_were() -> None:
    blind = healthy(diagnosis=Diagnosis(label=Label.NoData, sentence="Prometheus does not answer"))
    chronicle = Chronicle()
    assert chronicle.happenings(snapshot(), blind) == ()
    chronicle.happenings(snapshot(), healthy())
    assert reasons(chronicle.happenings(snapshot(), blind)) == [Reason.SignalsLost]
    assert chronicle.happenings(snapshot(), blind) == ()


def test_signals_that_come_and_go_are_told_once_in_half_an_hour() -> None:
    def lost(time: float) -> str:
        chronicle = Chronicle()
        chronicle.happenings(snapshot(), healthy())
        return only(chronicle.happenings(snapshot(), healthy(time, diagnosis=Diagnosis(label=Label.NoData)))).key

    assert lost(3600.0) == lost(4500.0) != lost(5400.0)


@pytest.mark.parametrize(("sleep", "warned"), [(None, True), (2.0, True), (5.0, False)])
def test_a_workload_without_a_long_enough_prestop_sleep_is_warned_of_before_its_restart(
    sleep: float | None, warned: bool
) -> None:
    backends = {"shop-d": Backend(weight=1, pods={"shop-d-1": pod("shop-d", pre_stop_seconds=sleep)})}
    told = Chronicle().happenings(snapshot(backends=backends), skewed(actions=(RESTART,)))
    assert reasons(told) == ([Reason.NoPreStop] if warned else [])
    if warned:
        assert (told[0].workload, told[0].key) == ("Deployment/shop-d", "prestop/Deployment/shop-d")
        assert "preStop.sleep.seconds" in told[0].note


@pytest.mark.parametrize(
    ("what", "reason", "note"),
    [
        (step(message="a bad update"), Reason.Reweighted, "set the weights: a 970 -> 250 (99% -> 96%); a bad update"),
        (step(action="Drain", backend="a"), Reason.Drained, "drained a: a 970 -> 250 (99% -> 96%)"),
        (step(purpose=Purpose.Revert), Reason.RolledBack, "set the weights: a 970 -> 250 (99% -> 96%)"),
        (
            step(action="RestartPod", pod="p", workload="Deployment/d", before=None, after=None),
            Reason.Restarted,
            "evicted pod p of Deployment/d",
        ),
    ],
)
def test_a_step_that_was_made_says_what_it_changed(what: Step, reason: Reason, note: str) -> None:
    told = applied("shop-1", what, 1000.0)
    assert (told.reason, told.note, told.key) == (reason, note, "applied/shop-1/1-restore")


def test_a_refusal_is_one_and_the_same_however_often_it_is_tried() -> None:
    restart = step("3-restart", action="RestartPod", workload="Deployment/d")
    first, again = refused("shop-1", restart, "needs 3", 1.0), refused("shop-1", restart, "needs 4", 2.0)
    assert first.reason is Reason.RestartRefused
    assert first.key == again.key
    assert refused("shop-1", step(), "422", 1.0).reason is Reason.WriteFailed


def test_the_timeline_leaves_out_what_belongs_to_no_episode() -> None:
    told = (
        Happening(time=1.0, reason=Reason.NoPreStop, note="x", key="1"),
        Happening(time=2.0, reason=Reason.Drained, note="y", key="2"),
    )
    assert [(entry.event, entry.detail) for entry in timeline(told)] == [("Drained", "y")]


HAPPENING = Happening(time=1000.5, reason=Reason.Restarted, note="evicted", key="k", workload="Deployment/shop-d")


async def with_workload() -> MemoryCluster:
    cluster = MemoryCluster()
    await cluster.create(DEPLOYMENTS, "shop", {"metadata": {"name": "shop-d", "namespace": "shop"}})
    return cluster


async def events(cluster: MemoryCluster) -> list[Manifest]:
    found, _ = await cluster.list(EVENTS)
    return found


async def test_an_event_is_posted_on_the_balancer_and_on_the_workload() -> None:
    cluster = await with_workload()
    await Bulletin(cluster, "evenload-0").post(BALANCER, HAPPENING)
    first, second = await events(cluster)
    assert first["regarding"]["uid"] == "u-1"
    assert (second["regarding"]["kind"], second["regarding"]["apiVersion"]) == ("Deployment", "apps/v1")
    assert second["regarding"]["uid"].startswith("uid-")
    assert (first["type"], first["reason"], first["note"]) == ("Normal", "Restarted", "evicted")
    assert first["eventTime"] == "1970-01-01T00:16:40.500000Z"


async def test_neither_the_same_bulletin_nor_another_operators_repeats_an_event() -> None:
    cluster = await with_workload()
    failures: list[int] = []
    first, second = (Bulletin(cluster, f"evenload-{at}", lambda: failures.append(1)) for at in range(2))
    for bulletin in (first, first, second):
        await bulletin.post(BALANCER, HAPPENING)
    assert failures == []
    assert len(await events(cluster)) == 2


async def test_a_bulletin_asks_the_api_server_only_once_for_what_it_has_told() -> None:
    counting = Faulty(await with_workload())
    bulletin = Bulletin(counting, "evenload-0")
    for _ in range(3):
        await bulletin.post(BALANCER, HAPPENING)
    assert counting.calls == ["create", "get", "create"]


async def test_a_new_balancer_of_the_same_name_is_told_for_itself() -> None:
    cluster = await with_workload()
    bulletin = Bulletin(cluster, "evenload-0")
    await bulletin.post(BALANCER, HAPPENING)
    await bulletin.post(ObjectMeta(name="shop", namespace="shop", uid="u-2"), HAPPENING)
    uids = {event["regarding"]["uid"] for event in await events(cluster) if event["regarding"]["kind"] == "Balancer"}
    assert uids == {"u-1", "u-2"}


async def test_a_workload_that_is_gone_or_of_an_unknown_kind_still_leaves_the_balancers_event() -> None:
    cluster = MemoryCluster()
    bulletin = Bulletin(cluster, "evenload-0")
    await bulletin.post(BALANCER, HAPPENING)
    await bulletin.post(BALANCER, Happening(time=1.0, reason=Reason.Restarted, note="", key="j", workload="Job/x"))
    assert [event["regarding"]["kind"] for event in await events(cluster)] == ["Balancer", "Balancer"]


@pytest.mark.parametrize("error", [Unavailable("down"), NotFound("namespace is ending"), Conflict("there already")])
async def test_posting_never_raises(error: KubeError) -> None:
    class Failing(MemoryCluster):
        async def create(self, resource: Resource, namespace: str | None, body: Any) -> Manifest:
            raise error

    failures: list[int] = []
    await Bulletin(Failing(), "evenload-0", lambda: failures.append(1)).post(BALANCER, HAPPENING)
    assert failures == [1]  # for a Conflict it is the workload, which is not there


async def test_a_note_is_cut_to_what_an_event_may_hold_without_breaking_a_letter() -> None:
    cluster = MemoryCluster()
    long = Happening(time=1.0, reason=Reason.Held, note="ü" * 600, key="k")
    await Bulletin(cluster, "x").post(BALANCER, long)
    (event,) = await events(cluster)
    assert len(event["note"].encode()) <= 1024
    assert event["note"].endswith("ü…")


async def test_a_note_and_the_timeline_hold_no_control_characters() -> None:
    cluster = MemoryCluster()
    told = Happening(time=1.0, reason=Reason.Held, note="paused by\nNormal  Resolved\x1b[2J\u202e", key="k")
    await Bulletin(cluster, "evenload-0").post(BALANCER, told)
    (event,) = await events(cluster)
    assert event["note"] == told.entry.detail == r"paused by\nNormal  Resolved\x1b[2J\u202e"
