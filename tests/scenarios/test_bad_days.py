"""Remediation on days when others interfere: rivals, disruption budgets, replacements that do not come."""

from __future__ import annotations

from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import ApprovalDecision, StepState
from evenload.model.spec import Mode
from evenload.simulate.loop import MANAGER, Operator
from tests.scenarios.stage import held_reasons, operate, trial

RIVAL = "argocd-controller"


def test_a_rival_that_puts_its_weights_back_twice_wins_and_is_named() -> None:
    def insist(operator: Operator, tick: int) -> None:
        balancer = operator.plant.balancer
        if balancer.last_write is not None and balancer.last_write.manager == MANAGER:
            assert balancer.last_write.before is not None
            operator.plant.command(dict(balancer.last_write.before), RIVAL)

    operator = operate(trial("bad-update"), insist)
    run = operator.run
    assert len(run.writes) == 2
    assert HeldReason.Contested in held_reasons(run)
    assert run.ticks[-1].decision.diagnosis.label is Label.LoadBalancerSkew
    steps = [step for episode in (*run.episodes, *filter(None, [operator.episode])) for step in episode.steps]
    assert [(step.state, step.manager) for step in steps] == [(StepState.Overwritten, RIVAL)] * 2
    assert run.faults == []


def test_a_disruption_budget_that_refuses_is_waited_out_without_a_second_step() -> None:
    played = trial("postmortem")
    played.plant.cluster.budget_refuses = True

    def relent(operator: Operator, tick: int) -> None:
        if operator.episode is None:
            return
        refused = [step.refused_since for step in operator.episode.steps if step.refused_since is not None]
        if refused and operator.plant.now - refused[0] > 60:
            operator.plant.cluster.budget_refuses = False

    run = operate(played, relent).run
    assert len(run.restarts()) == 1
    assert [step.action for episode in run.episodes for step in episode.steps].count("RestartPod") == 1
    assert run.ticks[-1].sick == 0
    assert run.faults == []


def test_a_disruption_budget_that_never_relents_means_no_restart() -> None:
    played = trial("postmortem")
    played.plant.cluster.budget_refuses = True
    run = operate(played).run
    assert run.restarts() == []
    assert run.faults == []


def test_a_replacement_that_never_gets_ready_is_not_followed_by_another_restart() -> None:
    played = trial("postmortem")
    played.plant.cluster.replacements_get_ready = False
    run = operate(played).run
    assert len(run.restarts()) == 1
    assert run.faults == []


def test_a_pod_without_a_controller_is_not_evicted() -> None:
    played = trial("postmortem")
    played.plant.cluster.controlled = False
    run = operate(played).run
    assert run.restarts() == []
    assert run.faults == []


def test_approve_waits_for_a_person() -> None:
    def approve_at_sixty(operator: Operator, tick: int) -> None:
        if tick == 60:
            operator.approval = ApprovalDecision.Approved

    operator = operate(trial("postmortem"), approve_at_sixty, max_mode=Mode.Approve)
    run = operator.run
    assert HeldReason.AwaitingApproval in held_reasons(run)
    assert run.writes
    assert run.writes[0][0] >= run.ticks[60].time


def test_a_denied_remediation_writes_nothing() -> None:
    def deny(operator: Operator, tick: int) -> None:
        operator.approval = ApprovalDecision.Denied

    assert operate(trial("postmortem"), deny, max_mode=Mode.Approve).run.writes == []
