"""What differs from one story of the demo to another, as one object. Everything else is shared.

A story has two arms (`incident.Arm`). In each, customers come; Evenload sees a healthy shop; then the fault begins, and
all figures count from that moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lab.demo.tally import Tally
from lab.state import LabState

if TYPE_CHECKING:
    from lab.demo.incident import Arm
    from lab.demo.summary import Figures, Results, Run, Target, Updates
    from lab.demo.watch import Pod, Watch
    from lab.load.record import Record

Keep = Callable[["Record"], None]


@dataclass
class Scene:
    """What the screen shows of the arm that runs; changed as it goes on."""

    arm: Arm
    text: str = "about to begin"
    onset: float | None = None
    """When the fault began (Unix seconds)."""
    since: float | None = None
    """From when on Remediations and the happenings count; the onset, unless the story began before it."""
    cause: str = ""
    """The newest thing that was done to the shop, for those which no object in the cluster shows as such."""
    tally: Tally = field(default_factory=Tally)

    def seconds(self, now: float) -> float | None:
        return None if self.onset is None else now - self.onset

    @property
    def begun(self) -> float | None:
        """From when on what Evenload does belongs to this arm."""
        return self.since if self.since is not None else self.onset


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where arms are run: the lab, the view of it, the story, and the folder for the customers' records."""

    lab: LabState
    watch: Watch
    script: Script
    folder: Path
    seed: int
    brief: bool = False
    """Without what comes after the incident."""


class Script(ABC):
    """One story. Texts first, then what it does to the lab, then what is judged."""

    name: ClassVar[str]
    """As `--story` takes it."""
    command: ClassVar[str]
    """As a person starts it."""
    headline: ClassVar[str]
    """Above the live view."""
    fault: ClassVar[str]
    """What the figures count from: "the bad update"."""
    installs: ClassVar[str]
    counted: ClassVar[str]
    """What the live view says of each server beside its share: "weight"."""
    balancer: ClassVar[str]
    folder: ClassVar[Path]
    seed: ClassVar[int]
    healthy_seconds: ClassVar[float]
    """Between the beginning of an arm and its fault."""
    period_seconds: ClassVar[float]
    """After the fault, in both arms: over this period they are compared."""
    timeout_seconds: ClassVar[float]
    """The arm with Evenload ends here even if nothing is over."""
    tail_seconds: ClassVar[float]
    """Of load after it is over."""
    shown_before_seconds: ClassVar[float]
    """How much of the flight recording before the fault belongs to the report."""
    rows: ClassVar[Sequence[str]]
    """The figures of the last table (`outputs.ROWS`)."""

    @abstractmethod
    async def install(self, lab: LabState) -> None:
        """The shop, up to where its servers are ready."""

    @abstractmethod
    async def set_balancer(self, lab: LabState, mode: str) -> None:
        """Create the Balancer, or change its mode."""

    @abstractmethod
    def earlier_load(self, stage: Stage, scene: Scene, keep: Keep) -> AbstractAsyncContextManager[None]:
        """Customers who come until Evenload sees a healthy shop."""

    @abstractmethod
    def load(self, stage: Stage, keep: Keep) -> AbstractAsyncContextManager[None]:
        """The customers of an arm."""

    @abstractmethod
    async def begin_fault(self, stage: Stage, scene: Scene) -> float:
        """Make what goes wrong go wrong; the Unix time from which the figures count."""

    @abstractmethod
    async def follow_up(self, stage: Stage, scene: Scene) -> None:
        """What people do afterwards, in the arm with Evenload: no figure counts it, but the time to resolve."""

    @abstractmethod
    async def reset(self, stage: Stage, scene: Scene) -> None:
        """After the first arm, back to where it began."""

    async def sequel(self, stage: Stage, scene: Scene) -> tuple[Updates, Run] | None:
        """What is played after the arm with Evenload; None where there is no more."""
        return None

    @abstractmethod
    async def close(self) -> None:
        """Let go of what outlives a scene."""

    @abstractmethod
    def staffed(self, watch: Watch) -> bool:
        """Whether all servers are there and ready."""

    @abstractmethod
    def is_over(self, watch: Watch, since: float) -> bool:
        """Whether Evenload has done all it does about what began at `since` (Unix seconds)."""

    @abstractmethod
    def server_of(self, pod: Pod) -> str:
        """Under which name a pod answers."""

    @abstractmethod
    def servers(self, watch: Watch) -> Sequence[str]:
        """The rows of the live view."""

    def short(self, server: str) -> str:
        """Its name where there is little room."""
        return server

    @abstractmethod
    def count(self, watch: Watch, tally: Tally, server: str) -> int | None:
        """The number that `counted` names."""

    @abstractmethod
    def targets(self, results: Results, evenload: Figures, alone: Figures | None) -> tuple[Target, ...]:
        """The figures that were promised, of the arm with Evenload and of the other, where that was played."""

    @abstractmethod
    def about(self, seed: int, results: Results) -> Mapping[str, Any]:
        """What summary.json says of the load, the fault and what is peculiar to this story."""
