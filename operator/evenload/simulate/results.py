"""What many runs come to: the figures by which the engine's judgement is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import msgspec

from evenload.errors import InputError
from evenload.simulate.scenarios import BY_NAME, SCENARIOS, Scenario
from evenload.simulate.score import Score, score

TUNING_SEEDS = range(0, 2020)  # look at these as long as you like; those of earlier reports are among them
REPORT_SEEDS = range(2020, 2040)  # and only report these
SIZES = (4, 10, 40, 200)
HEALTHY_DAY = "healthy-day"  # the scenario whose every action is a false one


class Job(NamedTuple):
    """One run to be made; small, so that it can be sent to another process."""

    scenario: str
    size: int
    seed: int


Mapper = Callable[[Callable[[Job], Score], Sequence[Job]], Iterable[Score]]
"""How jobs are done: `map`, or something that spreads them over processes. Scores come in the order of the jobs."""


def choose(names: Sequence[str], *, held_out: bool = False, long: bool = False) -> tuple[Scenario, ...]:
    """The scenarios of these names; without names all, the held-out and the long ones only where asked for.

    Raises InputError naming an unknown one, and those there are.
    """
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise InputError(f'scenario "{unknown[0]}" is unknown; choose among: {", ".join(BY_NAME)}')
    if names:
        return tuple(BY_NAME[name] for name in names)
    return tuple(row for row in SCENARIOS if row.held_out == held_out and (long or not row.long))


def run(
    names: Sequence[str] = (),
    sizes: Iterable[int] = SIZES,
    seeds: Iterable[int] = REPORT_SEEDS,
    *,
    held_out: bool = False,
    long: bool = False,
    mapper: Mapper = map,
) -> Results:
    """Every chosen scenario at every size with every seed; the same arguments give the same Results.

    A scenario about one size is run at that alone. Raises InputError for an unknown scenario, or a size below 2.
    """
    sizes, seeds = tuple(sizes), tuple(seeds)
    if min(sizes, default=2) < 2:
        raise InputError(f"size {min(sizes)}: a balancer needs at least two pods to be even between")
    jobs = [
        Job(scenario.name, size, seed)
        for scenario in choose(names, held_out=held_out, long=long)
        for size in ((scenario.only_size,) if scenario.only_size else sizes)
        for seed in seeds
    ]
    return Results(scores=tuple(mapper(do, jobs)))


def do(job: Job) -> Score:
    """Make the run."""
    return score(BY_NAME[job.scenario], job.size, job.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of one cell: a scenario at a size, or several together. Seconds are medians."""

    scenario: str
    size: int | None
    runs: int
    in_time: float  # share of runs diagnosed by the deadline
    detect_seconds: float | None
    settle_seconds: float | None
    settle_ticks: float | None
    failed_ratio: float  # of the requests since the fault
    failed_alone_ratio: float  # of the same requests, left alone
    over_ratio: float  # of the requests of the first five minutes, sent to a server beyond what it can do
    weight_writes: float  # a run
    restarts: float  # a run
    wrong_before: float  # share of ticks before the fault
    owed: int  # things that should have been done and were not
    forbidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthyDay:
    """What was done on days on which nothing was wrong: a day of one Balancer, on average."""

    days: int
    weight_writes: float
    restarts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All scores, and ways to look at them."""

    scores: tuple[Score, ...]

    def rows(self) -> tuple[Row, ...]:
        """A row a scenario and size, in the order they were run."""
        cells: dict[tuple[str, int], list[Score]] = {}
        for one in self.scores:
            cells.setdefault((one.scenario, one.size), []).append(one)
        return tuple(_row(name, size, scores) for (name, size), scores in cells.items())

    def total(self) -> Row:
        """All together."""
        return _row("all", None, self.scores)

    def confusion(self) -> dict[str, dict[str, int]]:
        """Runs by the label that was expected, then by the one that was given."""
        counts = Counter((one.expected, one.given) for one in self.scores)
        matrix: dict[str, dict[str, int]] = {}
        for (expected, given), count in sorted(counts.items()):
            matrix.setdefault(expected, {})[given] = count
        return matrix

    def forbidden(self) -> tuple[str, ...]:
        """Every forbidden action, with the scenario, size and seed that show it."""
        return tuple(
            f"{one.scenario} N={one.size} seed={one.seed}: {what}" for one in self.scores for what in one.forbidden
        )

    def owed(self) -> tuple[str, ...]:
        """Everything that should have been done and was not, with the run that shows it."""
        return tuple(f"{one.scenario} N={one.size} seed={one.seed}: {what}" for one in self.scores for what in one.owed)

    def healthy_day(self) -> HealthyDay | None:
        """False actions a day, where healthy days were run."""
        days = [one for one in self.scores if one.scenario == HEALTHY_DAY]
        if not days:
            return None
        return HealthyDay(
            days=len(days),
            weight_writes=sum(day.weight_writes for day in days) / len(days),
            restarts=sum(day.restarts for day in days) / len(days),
        )

    def table(self) -> str:
        """Plain text, a line a row; then the confusion matrix, healthy days, what was left undone and forbidden."""
        lines = [_HEADINGS, *(_line(row) for row in self.rows()), _line(self.total()), ""]
        lines += ["expected -> given", *(f"  {name}: {_counts(given)}" for name, given in self.confusion().items())]
        day = self.healthy_day()
        if day is not None:
            lines += ["", f"a healthy day: {day.weight_writes:.2f} weight changes, {day.restarts:.2f} restarts"]
        for title, told in (("left undone", self.owed()), ("forbidden actions", self.forbidden())):
            lines += ["", f"{title}: {len(told)}", *(f"  {what}" for what in told)]
        return "\n".join(lines)

    def json(self) -> bytes:
        """Everything, for programs."""
        return msgspec.json.encode(
            {
                "rows": [asdict(row) for row in self.rows()],
                "total": asdict(self.total()),
                "confusion": self.confusion(),
                "healthyDay": self.healthy_day(),
                "owed": self.owed(),
                "forbidden": self.forbidden(),
                "runs": [asdict(one) for one in self.scores],
            }
        )


def _row(name: str, size: int | None, scores: Sequence[Score]) -> Row:
    arrived = sum(one.arrived for one in scores) or 1
    return Row(
        scenario=name,
        size=size,
        runs=len(scores),
        in_time=sum(one.in_time for one in scores) / max(len(scores), 1),
        detect_seconds=_median([one.detect_seconds for one in scores]),
        settle_seconds=_median([one.settle_seconds for one in scores]),
        settle_ticks=_median([one.settle_ticks for one in scores]),
        failed_ratio=sum(one.failed for one in scores) / arrived,
        failed_alone_ratio=sum(one.failed_alone for one in scores) / arrived,
        over_ratio=sum(one.over_early for one in scores) / (sum(one.arrived_early for one in scores) or 1),
        weight_writes=sum(one.weight_writes for one in scores) / max(len(scores), 1),
        restarts=sum(one.restarts for one in scores) / max(len(scores), 1),
        wrong_before=sum(one.wrong_before for one in scores) / max(sum(one.ticks_before for one in scores), 1),
        owed=sum(len(one.owed) for one in scores),
        forbidden=sum(len(one.forbidden) for one in scores),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None


_HEADINGS = (
    f"{'scenario':<20}{'N':>5}{'runs':>6}{'in time':>9}{'detect':>8}{'settle':>8}{'ticks':>7}{'failed':>8}{'alone':>8}"
    f"{'over':>8}{'writes':>8}{'restarts':>9}{'wrong':>7}{'undone':>7}{'forbidden':>10}"
)


def _line(row: Row) -> str:
    ticks = "-" if row.settle_ticks is None else f"{row.settle_ticks:.0f}"
    return (
        f"{row.scenario:<20}{row.size or '':>5}{row.runs:>6}{row.in_time:>9.1%}{_seconds(row.detect_seconds):>8}"
        f"{_seconds(row.settle_seconds):>8}{ticks:>7}{row.failed_ratio:>8.1%}{row.failed_alone_ratio:>8.1%}"
        f"{row.over_ratio:>8.1%}{row.weight_writes:>8.1f}{row.restarts:>9.2f}{row.wrong_before:>7.1%}{row.owed:>7}"
        f"{row.forbidden:>10}"
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def _counts(given: dict[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in sorted(given.items(), key=lambda item: -item[1]))
