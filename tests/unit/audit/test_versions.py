"""The table of balancers' versions: what is wrong with a file is said with the field."""

from __future__ import annotations

from typing import Any

import pytest

from evenload.audit.versions import Version, numbers, version_in, versions_of
from evenload.cli.versions import shipped
from evenload.errors import InputError


def table(advisory: dict[str, Any] | None = None, **balancer: Any) -> dict[str, Any]:
    fields = {"name": "Gate", "image": "gate", "source": "https://example.com", **balancer}
    if advisory is not None:
        usual = {"id": "CVE-2026-1", "affected": [{"before": "1.0.1"}], "sentence": "open", "source": "https://a.b"}
        fields["advisories"] = [usual | advisory]
    return {"asOf": "2026-08-22", "balancers": [fields]}


def test_a_table_says_its_age() -> None:
    assert versions_of(table()).age_days("2026-08-24") == 2


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "Expected `object`"),
        ({"balancers": []}, "asOf"),
        ({"asOf": "today", "balancers": []}, "$.asOf"),
        ({"asOf": "2026-02-30", "balancers": []}, "asOf: 2026-02-30 is no day"),
        (table(ended={"1.2": "2026-13-01"}), "balancers[0].ended.1.2: 2026-13-01 is no day"),
        (table(ended={"1": "2026-01-01"}), "ended"),
        (table(retired="soon"), "$.balancers[0].retired"),
        (table(source="http://example.com"), "$.balancers[0].source"),
        (table(image="Gate Image"), "$.balancers[0].image"),
        (table(name="a\nb"), "$.balancers[0].name"),
        (table(colour="red"), "colour"),
        (table({"affected": []}), "$.balancers[0].advisories[0].affected"),
        (table({"affected": [{"before": "1.0"}]}), "$.balancers[0].advisories[0].affected[0].before"),
        (
            table({"affected": [{"since": "1.2.0", "before": "1.1.9"}]}),
            "balancers[0].advisories[0].affected: since 1.2.0 must be older than before 1.1.9",
        ),
        (table({"sentence": "x" * 301}), "$.balancers[0].advisories[0].sentence"),
        ({"asOf": "2026-08-22", "balancers": table()["balancers"] * 2}, "balancers: image gate stands there twice"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_the_field(document: Any, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        versions_of(document)
    assert complaint in str(caught.value)


def test_an_advisory_stands_once_below_its_balancer() -> None:
    document = table({})
    document["balancers"][0]["advisories"] *= 2
    with pytest.raises(InputError, match="advisories: id CVE-2026-1 stands there twice"):
        versions_of(document)


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("v3.7.4-alpine", Version(3, 7, 4)),
        ("distroless-v1.34.1", Version(1, 34, 1)),
        ("3.6", Version(3, 6)),
        ("latest", None),
        ("v3", None),
        ("", None),
    ],
)
def test_a_tag_names_a_version_or_none(tag: str, version: Version | None) -> None:
    assert version_in(tag) == version


def test_versions_are_compared_as_numbers() -> None:
    assert numbers("1.10.0") > numbers("1.9.9")


def test_the_shipped_table_names_the_fixed_version_of_each_advisory() -> None:
    advisories = [each for balancer in shipped().balancers for each in balancer.advisories]
    assert len(advisories) > 10
    for each in advisories:
        for range_ in each.affected:
            assert each.fixed(Version(*numbers(range_.before))) is None  # the fix itself is not affected
