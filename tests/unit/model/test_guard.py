"""What an update must not do by mistake: what holds for all weights. Examples are in tests/support/guardcases.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evenload.model.guard import Expected, Mistake, Reference, Rule, mistakes

weights = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 1_000_000), min_size=1)
percents = st.none() | st.integers(1, 100)


def rule(given: dict[str, int]) -> Rule:
    return [Reference(*each) for each in given.items()]


def said(before: dict[str, int], after: dict[str, int], **expected: object) -> set[Mistake]:
    fields = {"shares": {}, "targets": {}, **expected}
    return set(mistakes([rule(before)], [rule(after)], Expected(**fields)))  # type: ignore[arg-type]


@given(weights, percents)
def test_what_stays_as_it_was_is_no_mistake(both: dict[str, int], most: int | None) -> None:
    assert said(both, both, max_share_percent=most) == set()


@given(st.data(), weights, percents, st.sampled_from(["shares", "targets"]))
def test_the_shares_that_should_be_are_never_too_much(
    data: st.DataObject, wanted: dict[str, int], most: int | None, by: str
) -> None:
    before = {name: data.draw(st.integers(0, 1000)) for name in wanted}
    assert Mistake.TooMuch not in said(before, wanted, max_share_percent=most, **{by: wanted})


@given(st.integers(3, 16), st.integers(1, 1000), st.integers(0, 15))
def test_one_of_three_or_more_even_backends_may_be_drained(count: int, weight: int, which: int) -> None:
    even = dict.fromkeys(map(str, range(count)), weight)
    assert said(even, {**even, str(which % count): 0}) == set()


@given(st.integers(2, 16))
def test_twice_the_weight_of_the_others_is_the_limit(count: int) -> None:
    even = dict.fromkeys(map(str, range(count)), 1000)
    assert said(even, {**even, "0": 2000}) == set()
    assert said(even, {**even, "0": 2001}) == {Mistake.TooMuch}


@given(weights, weights, percents)
def test_no_backend_is_given_everything(before: dict[str, int], after: dict[str, int], most: int | None) -> None:
    """Unless it had that, is alone, or the Balancer says so."""
    one = next(iter(after))
    all_to_one = {**dict.fromkeys(after, 0), one: 1}
    found = Mistake.TooMuch in said(before, all_to_one, max_share_percent=most)
    had_all = before.get(one, 0) > 0 and before[one] == sum(before.values())
    assert found == (len(after) > 1 and most != 100 and not had_all)
