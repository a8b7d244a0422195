"""A backtest in words, the same on the terminal and on the page."""

from __future__ import annotations

from datetime import UTC, datetime

from evenload.history.backtest import Backtest, Judgement, PastEpisode, WouldBe
from evenload.model.diagnosis import Label
from evenload.report.wording import count, duration, listed, percent, weights_changed

_JUDGEMENTS = {
    Judgement.AtStake: "requests failed after the first would-be action; acting could have prevented some of them",
    Judgement.NothingFailed: "the traffic was off but no request failed afterwards; look whether you would want it",
    Judgement.ErrorsUnknown: "the traffic was off, and no series tells what failed; see docs/how-to/metrics.md",
    Judgement.OverByItself: "the fault was gone within a minute of the would-be action; it would have been for nothing",
    Judgement.NoWrite: "nothing would have been written: advice only, or held back by a guard rail",
}


def judgement_text(judgement: Judgement) -> str:
    return _JUDGEMENTS[judgement]


def headline(result: Backtest) -> str:
    """One paragraph: how much was looked at, what was found, what would have been done."""
    if not result.ticks:
        return f"{result.namespace}/{result.name}: Prometheus has no history of it between {_span(result)}."
    blind = result.labels.get(Label.NoData.value, 0) / result.ticks
    failed = "how many failed is not known" if result.failed is None else f"{count(result.failed)} failed"
    episodes, writes = len(result.episodes), len(result.writes)
    return (
        f"{result.namespace}/{result.name}, {_span(result)}: {count(result.ticks)} ticks, "
        f"{count(result.requests)} requests, {failed}; not enough data {percent(blind)} of the "
        f"time. {episodes} episode{_s(episodes)}; {writes} write{_s(writes)} would have been made, of them "
        f"{result.restarts} to restart a pod; {result.doubtful} episode{_s(result.doubtful)} with a doubtful write."
    )


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _span(result: Backtest) -> str:
    return f"{minute(result.since)} to {minute(result.until)} UTC"


def minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def opened(episode: PastEpisode) -> str:
    return datetime.fromtimestamp(episode.opened_at, UTC).strftime("%m-%d %H:%M:%S")


def lasted(episode: PastEpisode) -> str:
    return "still open" if episode.closed_at is None else duration(episode.closed_at - episode.opened_at)


def where(episode: PastEpisode) -> str:
    return listed(episode.backends or episode.pods, 3) or "everywhere"


def would_have(episode: PastEpisode) -> str:
    """What would have been done; else what was held back."""
    done = [what(write) for write in episode.done]
    held = [f"{what(write)} (held: {write.held})" for write in episode.writes if write.held]
    return "; ".join(done or held) or "nothing"


def what(write: WouldBe) -> str:
    """ "restore weights: a 970 to 250, b 10 to 250"."""
    if write.action == "SetWeights":
        return f"{write.purpose.lower()} weights: {weights_changed(write.before, write.after, 3)}"
    return f"{'drain' if write.action == 'Drain' else 'restart'} {write.target}"
