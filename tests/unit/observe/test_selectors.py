"""Which label isolates a pod, and who selects by what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evenload.observe.selectors import Selector, Selectors, _Expression, isolating

POD = (("app", "web"), ("pod-template-hash", "a1"), ("tier", "front"))
BY_APP = Selector(match_labels={"app": "web"})
OWNER = Selector(match_labels={"app": "web", "pod-template-hash": "a1"})

KEYS, VALUES = st.sampled_from("abcd"), st.sampled_from("xy")
LABELS = st.dictionaries(KEYS, VALUES, min_size=1)
SELECTORS = st.builds(
    Selector,
    match_labels=st.dictionaries(KEYS, VALUES, max_size=3),
    match_expressions=st.lists(
        st.builds(
            _Expression,
            key=KEYS,
            operator=st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
            values=st.tuples(VALUES),
        ),
        max_size=1,
    ).map(tuple),
)


def found(*services: Selector, others: tuple[Selector, ...] = ()) -> str | None:
    """For the first Service's pod, beside the other Services and controllers there."""
    selectors = Selectors()
    for number, each in enumerate((*services, OWNER, *others)):
        selectors.change("any", ("shop", str(number)), each)
    return isolating(POD, services[0], OWNER, lambda labels: any(True for _ in selectors.selecting("shop", labels)))


def test_a_label_that_service_and_replica_set_select_by_isolates() -> None:
    assert found(BY_APP) == "app=web"


def test_a_label_that_only_the_service_selects_by_does_not() -> None:
    assert found(Selector(match_labels={"tier": "front"})) is None


def test_where_another_service_would_go_on_sending_to_it_it_is_not_isolated() -> None:
    assert found(BY_APP, Selector(match_labels={"tier": "front"})) is None


def test_a_service_that_selects_by_the_same_label_is_left_too() -> None:
    assert found(BY_APP, Selector(match_labels={"app": "web", "tier": "front"})) == "app=web"


def test_where_another_controller_would_adopt_it_it_is_not_isolated() -> None:
    adopting = Selector(match_expressions=(_Expression(key="app", operator="DoesNotExist"),))
    assert found(BY_APP, others=(adopting,)) is None


def test_a_selector_that_names_nothing_selects_nothing() -> None:
    assert not Selector().selects(dict(POD))


@given(st.lists(SELECTORS, max_size=6), LABELS)
def test_the_index_finds_exactly_those_that_select(selectors: list[Selector], labels: dict[str, str]) -> None:
    index = Selectors()
    for number, each in enumerate(selectors):
        index.change("kind", ("shop", str(number)), each)
    expected = {("kind", ("shop", str(number))) for number, each in enumerate(selectors) if each.selects(labels)}
    assert set(index.selecting("shop", labels)) == expected


@given(LABELS, SELECTORS, SELECTORS, st.lists(SELECTORS, max_size=4))
def test_whatever_isolates_leaves_a_pod_that_nobody_selects(
    labels: dict[str, str], service: Selector, owner: Selector, others: list[Selector]
) -> None:
    everybody = [service, owner, *others]
    label = isolating(
        tuple(sorted(labels.items())), service, owner, lambda rest: any(each.selects(rest) for each in everybody)
    )
    if label is not None:
        key, _, value = label.partition("=")
        assert labels[key] == value
        rest = {name: each for name, each in labels.items() if name != key}
        assert not any(each.selects(rest) for each in everybody)
