"""What is worked out when first asked."""

from __future__ import annotations

from evenload.model.once import once


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    @once
    def answer(self) -> int:
        """Of everything."""
        self.calls += 1
        return 42


def test_it_is_worked_out_once_and_not_before_somebody_asks() -> None:
    counter = Counter()
    assert counter.calls == 0
    assert (counter.answer, counter.answer) == (42, 42)
    assert counter.calls == 1


def test_each_object_has_its_own() -> None:
    first, second = Counter(), Counter()
    assert first.answer == second.answer
    assert (first.calls, second.calls) == (1, 1)


def test_the_class_still_tells_what_it_is() -> None:
    assert Counter.answer.__doc__ == "Of everything."
