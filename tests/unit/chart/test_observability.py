"""The chart's alerts and dashboard: of metrics that exist, with a runbook each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from evenload.record.metrics import names
from tests.support.chart import CHART, REPOSITORY, of_kind, rendered

METRICS = names()
RUNBOOKS = REPOSITORY / "docs/runbooks"
# What a histogram is shown as.
SUFFIX = re.compile(r"_(bucket|count|sum)$")
RECORDED = "namespace_workload_pod:evenload_requests:rate2m"


def alerts() -> list[dict[str, Any]]:
    (rule,) = of_kind(rendered("--set=prometheusRule.enabled=true"), "PrometheusRule")
    return [each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]


def dashboard() -> dict[str, Any]:
    (found,) = of_kind(rendered("--set=grafana.dashboard.enabled=true"), "ConfigMap")
    parsed: dict[str, Any] = json.loads(found["data"]["evenload.json"])
    return parsed


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL text, and where it stands."""
    yield from ((each["alert"], each["expr"]) for each in alerts())
    for panel in dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))
    for each in dashboard()["annotations"]["list"]:
        yield each["name"], each["expr"]
    for each in dashboard()["templating"]["list"]:
        if each["type"] == "query":
            yield each["name"], each["query"]["query"]


def uses() -> Iterator[tuple[str, str, set[str]]]:
    """(where, metric, labels it is selected by)."""
    for where, text in expressions():
        for name, selector in re.findall(r"\b(evenload_[a-z_]+)(?:\{([^}]*)\})?", text.replace(RECORDED, "")):
            yield (
                where,
                SUFFIX.sub("", name) if name not in METRICS else name,
                set(re.findall(r"(\w+)\s*[=!]", selector)),
            )


def test_every_metric_in_a_rule_or_panel_is_one_that_the_operator_exports() -> None:
    used = list(uses())
    assert len(used) > 30
    assert [(where, metric) for where, metric, _ in used if metric not in METRICS] == []


def test_every_label_that_is_selected_by_is_one_the_metric_has() -> None:
    odd = [(where, metric, labels) for where, metric, labels in uses() if not labels <= set(METRICS[metric])]
    assert odd == []


def test_every_alert_says_how_bad_what_and_where_to_read_on() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}, alert
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}, alert


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    linked = {alert["annotations"]["runbook_url"].rsplit("/", 1)[1] for alert in alerts()}
    assert linked == {f"{alert['alert']}.md" for alert in alerts()}
    assert linked == {path.name for path in RUNBOOKS.glob("Evenload*.md")}


def test_the_runbook_address_can_be_ones_own() -> None:
    options = ("--set=prometheusRule.enabled=true", "--set=prometheusRule.runbookUrl=https://wiki.example/evenload/")
    (rule,) = of_kind(rendered(*options), "PrometheusRule")
    urls = [
        each["annotations"]["runbook_url"]
        for group in rule["spec"]["groups"]
        for each in group["rules"]
        if "alert" in each
    ]
    assert [url for url in urls if not re.fullmatch(r"https://wiki\.example/evenload/Evenload\w+\.md", url)] == []


def test_the_first_alert_needs_no_operator() -> None:
    (rule,) = of_kind(rendered("--set=prometheusRule.enabled=true"), "PrometheusRule")
    traffic = rule["spec"]["groups"][0]
    assert [METRICS.keys() & set(re.findall(r"evenload_\w+", each["expr"])) for each in traffic["rules"]] == [
        set(),
        set(),
    ]


@pytest.mark.parametrize("label", ["namespace", "balancer"])
def test_every_alert_about_a_balancer_names_it(label: str) -> None:
    for alert in alerts():
        if "evenload_balancer" in alert["expr"]:
            assert f"$labels.{label}" in alert["annotations"]["summary"], alert["alert"]


def test_the_panels_of_the_dashboard_do_not_overlap_and_each_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"].endswith(".")


def test_the_dashboard_file_fits_a_configmap() -> None:
    assert (CHART / "dashboards/evenload.json").stat().st_size < 1_000_000
