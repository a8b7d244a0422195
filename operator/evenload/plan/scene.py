"""All that a plan is made from, in one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evenload.episode.under_way import Work
from evenload.model.base import Value
from evenload.model.diagnosis import Diagnosis
from evenload.model.episode import Episode, Step, StepState
from evenload.model.fleet import Fleet, Floats
from evenload.model.forecast import Forecast
from evenload.model.plan import WEIGHT_ACTIONS, Write
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.plan.law import Law
from evenload.plan.quiet import Usual

CALM_TICKS = 3  # in a row, until an incident is over and the weights are worth remembering

Predict = Callable[[Mapping[str, float]], Floats]
"""CPU over limit by backend under these weights; NaN where unknown."""


class Scene(Value, frozen=True, kw_only=True):
    """All a plan is made from. `episode` is as the verdicts of this tick leave it."""

    snapshot: Snapshot
    fleet: Fleet
    policy: Policy
    diagnosis: Diagnosis
    episode: Episode | None
    work: Work
    resume: Write | None
    harmful: Step | None
    predict: Predict
    calm_ticks: int
    clean: bool
    law: Law
    tick_seconds: float
    overloaded: dict[str, str]
    blind: frozenset[str] = frozenset()  # backends of which nobody can say which pod is sick
    saturation: Forecast | None = None
    out_of_memory: Forecast | None = None
    usual: Usual

    @property
    def before(self) -> dict[str, int]:
        """What is commanded now."""
        return {name: backend.weight for name, backend in self.snapshot.backends.items()}

    @property
    def weighted(self) -> bool:
        """Whether weights change anything: a single backend, as a plain Service is, has all of the traffic."""
        return len(self.snapshot.backends) > 1

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of the open episode, oldest first."""
        return self.episode.steps if self.episode is not None else ()

    @property
    def unjudged(self) -> tuple[Step, ...]:
        """Weight steps that stand and that no verdict has ended yet."""
        return tuple(step for step in self.steps if step.state is StepState.Applied and step.action in WEIGHT_ACTIONS)

    @property
    def calm(self) -> bool:
        """Healthy for three ticks, the last of them free of requests from before the last change."""
        return self.calm_ticks >= CALM_TICKS and self.clean
