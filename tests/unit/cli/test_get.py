from __future__ import annotations

import json

import pytest
import yaml

from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi


@pytest.fixture(autouse=True)
def _fleet(api: FakeApi) -> None:
    api.put_balancer(objects.skewed("shop"))
    api.put_balancer(objects.healthy("checkout"))
    api.put_balancer(objects.healthy("search"))
    api.put_balancer(objects.healthy("shop", namespace="staging"))
    api.put_remediation(objects.waiting("shop"))
    api.put_remediation(objects.closed("shop"))


def test_get_lists_the_balancers_of_the_contexts_namespace(run: Run) -> None:
    result = run("get")
    assert result.exit_code == 0
    check_golden("cli/get.txt", result.stdout)


def test_get_wide_adds_target_numbers_and_the_diagnosis(run: Run) -> None:
    check_golden("cli/get-wide.txt", run("get", "-o", "wide").stdout)


def test_get_in_all_namespaces_names_the_namespace(run: Run) -> None:
    check_golden("cli/get-all.txt", run("get", "-A").stdout)


def test_get_of_another_namespace(run: Run) -> None:
    assert run("get", "-n", "staging", "-o", "name").stdout == "balancer.evenload.dev/shop\n"


def test_get_by_label(run: Run) -> None:
    assert run("get", "-l", "team=search", "-o", "name").stdout == "balancer.evenload.dev/search\n"


def test_get_of_one_name_as_json_is_the_object_itself(run: Run, api: FakeApi) -> None:
    found = json.loads(run("get", "search", "-o", "json").stdout)
    assert (found["kind"], found["metadata"]["name"]) == ("Balancer", "search")


def test_get_of_several_as_yaml_is_a_list_whose_items_name_their_kind(run: Run) -> None:
    found = yaml.safe_load(run("get", "-o", "yaml").stdout)
    assert found["kind"] == "List"
    assert {item["kind"] for item in found["items"]} == {"Balancer"}


def test_get_of_nothing_says_so_on_stderr_only(run: Run) -> None:
    result = run("get", "-n", "empty")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No Balancers found in namespace empty" in result.stderr


def test_get_of_nothing_as_json_is_an_empty_list(run: Run) -> None:
    assert json.loads(run("get", "-n", "empty", "-o", "json").stdout)["items"] == []


def test_a_name_that_is_not_there_is_a_usage_error_that_says_how_to_list(run: Run) -> None:
    result = run("get", "shpo")
    assert result.exit_code == 2
    assert result.stderr == (
        'error: Balancer "shpo" is not in namespace "shop"; see those there are: '
        "evenload get -n shop, or with -A everywhere\n"
    )


def test_names_and_all_namespaces_do_not_go_together(run: Run) -> None:
    result = run("get", "shop", "-A")
    assert result.exit_code == 2
    assert "not both" in result.stderr


def test_a_balancer_nobody_has_looked_at_yet_is_unknown(run: Run, api: FakeApi) -> None:
    bare = objects.healthy("new", namespace="fresh")
    del bare["status"]
    api.put_balancer(bare)
    check_golden("cli/get-new.txt", run("get", "-n", "fresh").stdout)


def test_a_balancer_of_a_newer_operator_is_refused_with_its_field(run: Run, api: FakeApi) -> None:
    strange = objects.healthy("strange", namespace="fresh")
    strange["status"]["diagnosis"]["label"] = "Gremlins"
    api.put_balancer(strange)
    result = run("get", "-n", "fresh")
    assert result.exit_code == 2
    assert 'Balancer "strange" cannot be read' in result.stderr
    assert "$.status.diagnosis.label" in result.stderr


def test_escape_sequences_from_the_cluster_do_not_reach_the_terminal(run: Run, api: FakeApi) -> None:
    nasty = objects.healthy("nasty", namespace="fresh")
    nasty["status"]["diagnosis"]["sentence"] = "all\x1b]0;owned\x07 well \u202e"
    api.put_balancer(nasty)
    shown = run("get", "-n", "fresh", "-o", "wide").stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_history_lists_newest_first(run: Run) -> None:
    result = run("history")
    assert result.exit_code == 0
    check_golden("cli/history.txt", result.stdout)


def test_history_wide_names_who_approved_and_who_wrote_the_weights(run: Run) -> None:
    check_golden("cli/history-wide.txt", run("history", "-o", "wide").stdout)


def test_history_of_one_balancer(run: Run, api: FakeApi) -> None:
    api.put_remediation(objects.closed("search"))
    assert run("history", "search", "-o", "name").stdout == "remediation.evenload.dev/search-1st\n"


def test_history_of_a_balancer_that_had_none(run: Run) -> None:
    result = run("history", "checkout")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No Remediations found" in result.stderr
