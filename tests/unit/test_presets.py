"""Preset files: what is ours can be read, and what is wrong with another's is said by its field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenload.api.crd import crds
from evenload.errors import InputError
from evenload.model.spec import Signals
from evenload.observe.queries import render, source_of
from evenload.presets import PRESETS, with_own

HOUSE: dict[str, Any] = {
    "title": "Ours",
    "source": "https://example.com",
    "tried": "in production",
    "requests": "house_requests_total",
    "status": {"label": "result", "values": "ok|lost", "failed": "lost", "examples": "ok, lost"},
    "inFlight": {"gauge": ["house_in_flight"]},
}


def changed(**fields: Any) -> str:
    return yaml.safe_dump({"house": {**HOUSE, **fields}})


def test_the_crd_names_all_of_them() -> None:
    (text,) = re.findall(r"Whose metrics: ([a-z, -]+), or one", yaml.safe_dump(crds(), width=10_000))
    assert set(text.split(", ")) == PRESETS.keys()


def test_one_of_the_installations_own_is_used_by_its_name() -> None:
    presets = with_own(changed())
    assert presets.keys() == PRESETS.keys() | {"house"}
    source = source_of(Signals(preset="house"), default_url="http://p:1", scrape_seconds=5, presets=presets)
    query = render(source, "errors", ["shop"])
    assert 'house_requests_total{namespace=~"shop", pod!="", result=~"lost"}[15s]' in query
    assert "latency" not in source.templates


def test_one_that_is_called_like_ours_takes_its_place() -> None:
    assert with_own(yaml.safe_dump({"app": HOUSE}))["app"].requests == "house_requests_total"


def test_without_any_there_are_ours() -> None:
    assert with_own("") == PRESETS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (changed(requests="rate(x)"), "house: .*requests"),
        (changed(request="x"), "house: .*request"),
        (changed(matchers=['a="b"} or vector(1) or x{c="d"']), "house: .*matchers"),
        (changed(matchers=['a="$(pods)"']), "house: .*matchers"),
        (changed(status={**HOUSE["status"], "failed": "("}), "house: .*unterminated"),
        (changed(status={**HOUSE["status"], "failed": '"'}), "house: .*failed"),
        (changed(inFlight={"started": "a_total"}), "house: .*both started and ended"),
        (changed(inFlight={}), "house: .*gauge"),
        (changed(status=None), "house: .*give either status, or byAddress"),
        (
            changed(byAddress={"label": "peer", "failed": "house_lost_total"}),
            "house: .*give either status, or byAddress",
        ),
        (changed(status=None, byAddress={"label": "a b", "failed": "house_lost_total"}), "house: .*label"),
        (
            changed(
                status=None,
                byAddress={"label": "peer", "failed": "house_lost_total"},
                latency={"sum": "house_seconds_sum", "count": "house_seconds_count"},
            ),
            "house: .*with byAddress there is no latency",
        ),
        (changed(byService={"label": "to", "names": ["(.+)-x"]}), "house: .*with byService there is neither"),
        (changed(inFlight=None, byService={"label": "to", "names": ["(.+)-(.+)"]}), "house: .*must have one group"),
        (changed(inFlight=None, byService={"label": "to", "names": ["("]}), "house: .*unterminated"),
        (changed(inFlight=None, byService={"label": "to", "names": []}), "house: .*names"),
        (yaml.safe_dump({"My House": HOUSE}), ".*My House.* is no name"),
        ("house: [", ""),
        ("- house", ""),
    ],
)
def test_what_is_wrong_is_said_by_its_field(text: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^prometheus.presets of the installation: (?s:.*){words}"):
        with_own(text)


def test_one_that_counts_by_service_is_asked_by_the_names_of_namespaces() -> None:
    text = changed(inFlight=None, byService={"label": "to", "names": ["(.+)-x", "(.+)"]})
    source = source_of(Signals(preset="house"), default_url="http://p:1", scrape_seconds=5, presets=with_own(text))
    query = render(source, "errors", ["shop", "a"])
    assert 'house_requests_total{to=~"(?:.*-)?(?:a|shop)-.*", to=~"(?:(.+)-x)|(?:(.+))", result=~"lost"}[15s]' in query
    assert query.index('"(.+)")') < query.index('"(.+)-x")')  # the first name has the last word
    assert "inFlight" not in source.templates


def test_ours_are_files_that_a_person_could_have_written_as_an_own_one() -> None:
    folder = Path(__file__).parents[2] / "operator/evenload/presets"
    ours = {file.stem: yaml.safe_load(file.read_text()) for file in folder.glob("*.yaml")}
    assert with_own(yaml.safe_dump(ours)) == PRESETS
