"""Given any shares and any backends, a plan is of exactly these backends, or there is none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.engine import Engine
from evenload.model.diagnosis import Label
from evenload.model.plan import Drain, SetWeights
from evenload.model.spec import Desired, DesiredType, Mode, Share
from tests.unit.engine.build import later, snapshot
from tests.unit.engine.plant import spec

NAMES = ("a", "b", "c", "d", "aa", "till/a")


@settings(max_examples=150, deadline=None)
@given(
    shares=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, 50, 1_000_000]), min_size=1),
    weights=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, 250, 970]), min_size=1),
    hot=st.sampled_from(NAMES),
    requests=st.sampled_from([240.0, 2000.0]),
    known_good=st.booleans(),
)
def test_a_plan_names_exactly_the_backends_or_nothing_is_planned(
    shares: dict[str, int], weights: dict[str, int], hot: str, requests: float, known_good: bool
) -> None:
    listed = tuple(Share(backend=name, weight=weight) for name, weight in shares.items())
    engine = Engine(spec(mode=Mode.Auto, desired=Desired(type=DesiredType.Explicit, shares=listed)))
    sight = snapshot(
        {f"{hot}-0": {"requests": requests, "errors": requests / 3}},
        backends=weights,
        weights=weights,
        known_good=dict.fromkeys(weights, 100) if known_good else None,
    )
    fits = shares.keys() == weights.keys() and any(shares.values())
    for tick in range(8):
        decision = engine.step(later(sight, 15.0 * tick))
        planned = [action for action in decision.actions if isinstance(action, SetWeights | Drain)]
        assert all(action.after.keys() == weights.keys() and any(action.after.values()) for action in planned)
        assert decision.targets.keys() <= weights.keys()
        if not fits:
            assert (planned, decision.held) == ([], ())
            assert decision.diagnosis.label is Label.NoData
            assert decision.diagnosis.sentence.startswith("cannot tell: spec.desired.shares: ")
