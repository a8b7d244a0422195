"""A write that is wanted and not made yet, as whoever may allow it is told: what it is, and what it should bring."""

from __future__ import annotations

from typing import assert_never

from evenload.model.decision import Held
from evenload.model.plan import Drain, Isolate, PodAction, Purpose, RestartPod, SetWeights, Write
from evenload.model.wording import reweighting

MOST_BACKENDS = 6  # in one line: so many names of 63 letters fit into an Event of 1,024 bytes

_BRINGS = {
    Purpose.Restore: "traffic is split by these weights again, the desired ones or the last that were seen to work",
    Purpose.Rollback: "the weights are again as they were before the update; what it added gets nothing",
    Purpose.Rebalance: "each backend gets nearer to the share of the traffic that it should have",
    Purpose.Eject: "fewer requests meet the pods that fail or are slow; the other backends take them",
    Purpose.Drain: "no new request goes to {backend}, so that restarting {pod} fails none",
    Purpose.Ramp: "a backend that was restarted or recovered gets its share back, a part at a time",
    Purpose.Revert: "the weights are again as they were before the change that is undone",
}


def wanted(write: Write, most: int | None = None) -> str:
    """ "set the weights a 970 -> 250 (97% -> 25%)": with the parts of all weights; of `most` backends, or of all."""
    match write:
        case Isolate():
            return (
                f"isolate pod {write.pod}: its label {write.label} is taken off, so Service {write.backend} sends it "
                f"nothing, and {write.workload} replaces it; it is evicted when nothing is in flight"
            )
        case RestartPod() if write.label is not None:
            return f"evict pod {write.pod}, which is isolated: {write.workload} has replaced it"
        case RestartPod():
            return f"restart pod {write.pod} of {write.backend}: it is evicted, and {write.workload} replaces it"
        case Drain():
            return f"drain {write.backend} to restart its pod {write.pod}: {_weights(write, most)}"
        case SetWeights():
            return f"set the weights {_weights(write, most)}"
        case _:
            assert_never(write)


def effect(write: Write) -> str:
    """What it should bring, as a clause."""
    if isinstance(write, Isolate):
        return f"a new pod takes the place of {write.pod}, and the requests that it has are finished"
    if isinstance(write, PodAction):
        return f"a new pod takes the place of {write.pod}; a restart cannot be undone"
    drained = {"backend": write.backend, "pod": write.pod} if isinstance(write, Drain) else {}
    return _BRINGS[write.purpose].format(**drained)


def said(held: Held) -> str:
    """What is held back, and why, as a sentence."""
    if not isinstance(held.action, Write):
        return held.detail or held.action.because
    return f"{would(held.action)}: {held.detail}" if held.detail else would(held.action)


def would(write: Write) -> str:
    """ "would set the weights ...", with the largest changes only where there are many."""
    return f"would {wanted(write, MOST_BACKENDS)}"


def _weights(write: SetWeights | Drain, most: int | None) -> str:
    return reweighting(write.before, write.after, most)
