"""The journal: one structured line for each decision that differs from the one before, none for a quiet tick."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from evenload.model.decision import Decision, EpisodeMove


class Logger(Protocol):
    """A structlog logger."""

    def info(self, event: str, /, **fields: object) -> object: ...


class Journal:
    """Remembers the last decision of each Balancer, to tell a change from a repetition."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._last: dict[tuple[str, str], Hashable] = {}

    def tell(self, namespace: str, balancer: str, decision: Decision) -> bool:
        """Write the `decision` line if it is news; whether it was."""
        essence = _essence(decision)
        if self._last.get((namespace, balancer)) == essence:
            return False
        self._last[(namespace, balancer)] = essence
        self._logger.info("decision", namespace=namespace, balancer=balancer, **_fields(decision))
        return True

    def forget(self, namespace: str, balancer: str) -> None:
        self._last.pop((namespace, balancer), None)


def _essence(decision: Decision) -> Hashable:
    """All but what moves by itself: time, figures, and the sentences that tell them."""
    return (
        decision.diagnosis.label,
        decision.diagnosis.cause,
        decision.diagnosis.pods,
        decision.diagnosis.backends,
        decision.phase,
        tuple(type(action).__name__ for action in decision.actions),
        tuple(getattr(action, "step", None) for action in decision.actions),
        frozenset((held.reason, type(held.action).__name__) for held in decision.held),
        tuple((verdict.step, verdict.state) for verdict in decision.verdicts),
        decision.episode is not EpisodeMove.Stay,
    )


def _fields(decision: Decision) -> dict[str, object]:
    diagnosis = decision.diagnosis
    fields: dict[str, object | None] = {
        "time": decision.time,
        "diagnosis": diagnosis.label.value,
        "cause": diagnosis.cause.value if diagnosis.cause else None,
        "manager": diagnosis.manager,
        "pods": list(diagnosis.pods),
        "backends": list(diagnosis.backends),
        "sentence": decision.sentence or diagnosis.sentence,
        "phase": decision.phase.value if decision.phase else None,
        "actions": [f"{type(action).__name__}: {action.because}" for action in decision.actions],
        "held": [f"{held.reason.value}: {held.detail or held.action.because}" for held in decision.held],
        "verdicts": [f"{verdict.step} {verdict.state.value}: {verdict.because}" for verdict in decision.verdicts],
        "error_ratio": decision.error_ratio,
        "requests_per_second": decision.requests_per_second,
        "worst_ratio": decision.worst_ratio,
    }
    return {name: value for name, value in fields.items() if value not in (None, [], "")}
