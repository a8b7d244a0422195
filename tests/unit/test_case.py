"""What is remembered of one Balancer: here whose metrics its pods have, where its spec does not say."""

from __future__ import annotations

import pytest

from evenload.api.v1alpha1 import Resolved
from evenload.case import LOST_TICKS, Case, read, source_within
from evenload.model.spec import Signals
from evenload.observe.prometheus import Reading, Samples
from evenload.observe.queries import Source
from evenload.settings import Settings
from tests.unit.observe.fleets import fleet

FLEET = fleet("a", "b")
PODS = {("shop", "a"), ("shop", "b")}


def source_for(signals: Signals) -> Source:
    return source_within(Settings(prometheus_url="http://p:1", scrape_seconds=5.0), signals)


def case(
    preset: str | None = None, *, generation: int = 1, before: Case | None = None, resolved: Resolved | None = None
) -> Case:
    signals = {"preset": preset} if preset else {}
    manifest = {
        "metadata": {"name": "shop", "namespace": "shop", "uid": "u", "generation": generation},
        "spec": {"targetRef": {"name": "shop"}, "signals": signals},
    }
    return Case.of(read(manifest), source_for, before, resolved)


def answered(of: Case, *, problem: str = "", found: str = "", numbers: bool = False) -> Samples:
    """What the query of its requests answered."""
    values = {"shop": {"a": 1.0, "b": 1.0}} if numbers else {}
    reading = Reading(problem=problem, found={found: PODS} if found else {}, values=values)
    return Samples(source=of.source, readings={"requests": reading})


def preset_of(of: Case) -> str | None:
    return of.source.preset.name if of.source.preset else None


def test_it_is_looked_for_until_one_answers() -> None:
    new = case()
    assert not new.look(answered(new), FLEET)
    assert preset_of(new) is None
    assert new.look(answered(new, found="istio/response_code"), FLEET)
    assert preset_of(new) == "istio"


def test_what_the_spec_names_is_not_looked_for() -> None:
    named = case("app")
    assert not named.look(answered(named, found="istio/response_code"), FLEET)
    assert preset_of(named) == "app"


def test_a_later_spec_and_a_later_process_go_on_with_what_was_found() -> None:
    first = case()
    first.look(answered(first, found="app/status"), FLEET)
    second = case(generation=2, before=first)
    third = case(resolved=Resolved(signals="app", code="status"))
    assert first.source == second.source == third.source
    assert second.source.code == "status"


def test_a_later_spec_is_not_judged_by_numbers_that_were_judged_before() -> None:
    first = case("app")
    first.judged = answered(first, numbers=True)
    assert case("app", generation=2, before=first).judged is first.judged


@pytest.mark.parametrize("resolved", [None, Resolved(), Resolved(signals="gone"), Resolved(signals="app", code="}")])
def test_a_status_that_names_none_of_them_is_not_believed(resolved: Resolved | None) -> None:
    assert preset_of(case(resolved=resolved)) is None


def test_a_preset_that_answers_for_no_pod_any_more_is_looked_for_again() -> None:
    lost = case(resolved=Resolved(signals="app", code="code"))
    for _ in range(LOST_TICKS - 1):
        lost.look(answered(lost), FLEET)
    assert preset_of(lost) == "app"
    lost.look(answered(lost), FLEET)
    assert preset_of(lost) is None


@pytest.mark.parametrize("alive", [{"problem": "late"}, {"numbers": True}])
def test_an_answer_or_a_failure_of_prometheus_is_no_loss(alive: dict[str, object]) -> None:
    kept = case(resolved=Resolved(signals="app", code="code"))
    for _ in range(3 * LOST_TICKS):
        kept.look(answered(kept, **alive), FLEET)  # type: ignore[arg-type]
    assert preset_of(kept) == "app"
