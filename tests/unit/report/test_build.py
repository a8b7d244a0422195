from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace

from evenload.errors import InputError
from evenload.report import Report, build
from tests.support.golden import check_golden
from tests.unit.report import story

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)
NASTY = "<script>alert(1)</script>|*`[x](javascript:y)\n# \x1b[31m\u202e"


@pytest.fixture(scope="module")
def page() -> str:
    return _whole().html


def _whole() -> Report:
    return build(
        story.remediation(),
        story.recording(),
        story.client(),
        alone=story.client(mended=False),
        balancer=story.balancer(),
        tried=("The same update with the guard on was refused.",),
    )


def nasty() -> dict[str, Any]:
    """The story told by somebody who wants to break the page."""
    manifest = story.remediation()
    manifest["spec"]["diagnosis"] |= {"sentence": NASTY, "manager": NASTY}
    manifest["spec"]["diagnosis"]["evidence"][0] |= {"sentence": NASTY, "subject": NASTY}
    manifest["spec"]["diagnosis"]["ruledOut"][0]["because"] = NASTY
    manifest["status"]["steps"][0] |= {"message": NASTY}
    manifest["metadata"]["name"] = NASTY
    return manifest


class Tags(HTMLParser):
    """The tags of a page and the addresses it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "path", "use", "rect", "circle"):
            self.open.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_without_its_plots_is_as_it_was_read(page: str) -> None:
    check_golden("report/incident.html", SVG.sub("<svg/>", page))


def test_the_postmortem_is_as_it_was_read() -> None:
    check_golden("report/postmortem.md", _whole().markdown)


def test_the_data_is_as_it_was_read() -> None:
    report = build(story.remediation(), story.recording(), story.client(), balancer=story.balancer())
    check_golden("report/incident.json", json.dumps(report.data, indent=2) + "\n")


def test_a_remediation_alone_is_enough_for_a_postmortem() -> None:
    check_golden("report/postmortem-bare.md", build(story.remediation()).markdown)


def test_a_remediation_alone_is_enough_for_a_page() -> None:
    assert "<svg" not in build(story.remediation()).html


def test_the_same_inputs_give_the_same_bytes(page: str) -> None:
    assert _whole().html == page


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    tags = Tags(page)
    assert "script" not in tags.tags
    assert all(address.startswith("#") for address in tags.loaded)
    assert "default-src 'none'" in page


def test_the_pages_elements_are_closed_in_order(page: str) -> None:
    assert Tags(page).open == []


def test_what_the_cluster_says_cannot_become_markup_in_the_page() -> None:
    html = build(nasty(), story.recording(), story.client()).html
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not {"\x1b", "\u202e"} & set(html)


def test_what_a_backend_is_called_cannot_become_markup_in_the_plots() -> None:
    recording = [
        (replace(snapshot, backends={f"<i>{name}$x$": each for name, each in snapshot.backends.items()}), decision)
        for snapshot, decision in story.recording()
    ]
    html = build(story.remediation(), recording).html
    assert "<i>" not in html
    assert "&lt;i&gt;shop-a$x$" in html


def test_what_the_cluster_says_cannot_become_markup_in_the_postmortem() -> None:
    text = build(nasty(), story.recording(), story.client()).markdown
    escaped = r"\<script\>alert(1)\</script\>\|\*\`\[x\](javascript:y) \#"
    assert escaped in text
    assert text.replace(escaped, "").count("script") == 0
    rows = [line for line in text.splitlines() if line.startswith("| share ")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [7]


def test_the_plots_use_the_pages_ink_so_that_they_read_on_black_too(page: str) -> None:
    for svg in SVG.findall(page):
        assert "var(--ink)" in svg
        assert not re.search(r"#0[1-9]0[1-9]0[1-9]", svg)


def test_the_plots_text_is_text(page: str) -> None:
    assert "shop-a</text>" in SVG.findall(page)[0]


def test_each_numbered_moment_has_its_mark_in_the_plots(page: str) -> None:
    marked = build(story.remediation(), story.recording(), story.client()).facts.moments
    texts = set(re.findall(r">([0-9]+(?:–[0-9]+)?)</text>", SVG.findall(page)[0]))
    shown = {number for text in texts for number in range(int(text.split("–")[0]), int(text.split("–")[-1]) + 1)}
    assert {moment.number for moment in marked if moment.number} <= shown


def test_an_open_remediation_gives_an_interim_report() -> None:
    manifest = story.remediation()
    manifest["status"] |= {"phase": "Verifying"}
    del manifest["status"]["closedAt"]
    report = build(manifest)
    assert "this is an interim report" in report.markdown
    assert report.facts.over is False


def test_a_remediation_that_only_observed_says_that_nothing_was_written() -> None:
    manifest = story.remediation()
    manifest["status"] = {"phase": "Expired", "openedAt": story.at(11), "closedAt": story.at(200)}
    assert "Nothing was written: Evenload only observed." in build(manifest).markdown


def test_what_a_changelog_says_cannot_become_markup() -> None:
    balancer = story.balancer()
    balancer["status"]["changes"][2] |= {"cause": NASTY, "manager": NASTY, "elsewhere": [NASTY]}
    report = build(story.remediation(), balancer=balancer)
    assert "<script" not in report.html + report.markdown.replace("\\<script", "")


def test_a_broken_balancer_is_refused_with_its_field() -> None:
    balancer = story.balancer()
    balancer["status"]["changes"][0]["writes"] = "many"
    with pytest.raises(InputError, match=r"the Balancer cannot be read: .*\$\.status\.changes"):
        build(story.remediation(), balancer=balancer)


def test_a_broken_manifest_is_refused_with_its_field() -> None:
    manifest = story.remediation()
    manifest["spec"]["diagnosis"]["label"] = "Gremlins"
    with pytest.raises(InputError, match=r'"shop-7k2fq" cannot be read: .*\$\.spec\.diagnosis\.label'):
        build(manifest)


def test_a_manifest_that_does_not_say_when_it_was_opened_is_refused() -> None:
    manifest = story.remediation()
    del manifest["status"], manifest["metadata"]["creationTimestamp"]
    with pytest.raises(InputError, match=r"status\.openedAt is missing"):
        build(manifest)


@pytest.mark.usefixtures("_no_matplotlib")
def test_without_matplotlib_the_page_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"-m pip install 'matplotlib>=[0-9.]+'"):
        build(story.remediation(), story.recording()).html  # noqa: B018


@pytest.mark.usefixtures("_no_matplotlib")
def test_without_matplotlib_the_postmortem_works() -> None:
    assert build(story.remediation(), story.recording()).markdown.startswith("# Postmortem")


def test_the_callers_latency_is_drawn_only_where_it_was_measured(page: str) -> None:
    title = "Latency of their requests"
    client = story.client()
    unmeasured = replace(client, bins=tuple(replace(each, latency_p95=None) for each in client.bins))
    assert title in page
    assert title not in build(story.remediation(), story.recording(), unmeasured).html
