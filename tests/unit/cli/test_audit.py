"""`evenload audit` on files, on a pipe and on a cluster, as a person or a pipeline runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from evenload.audit.rules import RULES
from evenload.audit.world import GROUPS
from evenload.cli.audit import AUDITED
from evenload.cli.main import app
from tests.unit.audit.cases import CASES, deployment, route, running, service, to
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

BAD = route(to(a=0, b=0))  # an error
STICKY = service(sessionAffinity="ClientIP")  # a warning
IGNORED = service(
    annotations={"evenload.dev/audit-ignore": "service-session-affinity: carts"}, sessionAffinity="ClientIP"
)


def written(folder: Path, *manifests: Any, name: str = "shop.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump_all(manifests, sort_keys=False))
    return file


def audited(*arguments: str, given: str | None = None) -> Result:
    """Without a cluster, which files must not need."""
    return CliRunner().invoke(app, ["audit", *arguments], prog_name="evenload", catch_exceptions=False, input=given)


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.setenv("NO_COLOR", "1")


def test_a_file_is_audited_with_rule_place_values_and_fix(tmp_path: Path) -> None:
    file = written(tmp_path, service(), BAD)
    result = audited("-f", str(file))
    line = file.read_text().splitlines().index("---") + 2
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"HTTPRoute shop/shop ({file}:{line})",
        "  error    route-no-weight: spec.rules[0].backendRefs: "
        "the weight of a, b is 0, so every request of this rule fails",
        f"           fix: {RULES['route-no-weight'].fix}",
        "1 error, 0 warnings, 0 infos in 2 objects; 0 suppressed",
    ]


def test_names_are_never_cut(tmp_path: Path) -> None:
    name = "a" * 253
    result = audited(
        "-f", str(written(tmp_path, route({**to(a=0), "backendRefs": [{"name": name, "port": 80, "weight": 0}]})))
    )
    assert f"the weight of {name} is 0" in result.stdout


def test_text_of_an_object_cannot_command_the_terminal(tmp_path: Path) -> None:
    evil = {**BAD, "metadata": {"name": "x\x1b[31m\ny", "namespace": "shop"}}
    result = audited("-f", str(written(tmp_path, evil)))
    assert "\x1b" not in result.stdout
    assert "HTTPRoute shop/x\\x1b[31m\\ny" in result.stdout


@pytest.mark.parametrize(
    ("manifest", "fail_on", "code"),
    [
        (BAD, "error", 1),
        (STICKY, "error", 0),
        (STICKY, "warning", 1),
        (service(externalTrafficPolicy="Local", type="NodePort"), "warning", 0),
        (service(externalTrafficPolicy="Local", type="NodePort"), "info", 1),
        (BAD, "never", 0),
        (IGNORED, "info", 0),
    ],
)
def test_the_exit_code_says_whether_a_finding_is_as_bad_as_fail_on(
    tmp_path: Path, manifest: Any, fail_on: str, code: int
) -> None:
    assert audited("-f", str(written(tmp_path, manifest)), "--fail-on", fail_on).exit_code == code


def test_errors_are_what_fails_by_default(tmp_path: Path) -> None:
    assert audited("-f", str(written(tmp_path, STICKY))).exit_code == 0
    assert audited("-f", str(written(tmp_path, BAD))).exit_code == 1


def test_suppressed_findings_are_counted_and_shown_on_request(tmp_path: Path) -> None:
    file = str(written(tmp_path, IGNORED))
    assert audited("-f", file).stdout == "0 errors, 0 warnings, 0 infos in 1 objects; 1 suppressed\n"
    shown = audited("-f", file, "--show-suppressed").stdout
    assert "suppressed: carts" in shown


def test_a_pipe_a_list_and_a_namespace_for_what_names_none() -> None:
    bare = {**BAD, "metadata": {"name": "shop"}}
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [bare]})
    result = audited("-f", "-", "-n", "web", given=text)
    assert result.stdout.startswith("HTTPRoute web/shop (-:3)")


def test_a_folder_is_read_with_all_its_folders(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / ".git").mkdir()
    written(tmp_path / "more", BAD)
    written(tmp_path / ".git", BAD)
    (tmp_path / "notes.txt").write_text("kind: [")
    (tmp_path / "route.json").write_text(json.dumps(STICKY))
    result = audited("-f", str(tmp_path), "-o", "json")
    assert {each["rule"] for each in json.loads(result.stdout)["findings"]} == {
        "route-no-weight",
        "service-session-affinity",
    }
    assert json.loads(result.stdout)["summary"]["objects"] == 2


def test_files_are_complete_only_where_that_is_said(tmp_path: Path) -> None:
    file = str(written(tmp_path, route(to(a=1)), deployment()))
    assert audited("-f", file).exit_code == 0
    result = audited("-f", file, "--complete")
    assert result.exit_code == 1
    assert "there is no Service shop/a" in result.stdout


def test_what_nobody_writes_into_files_is_not_missed_there(tmp_path: Path) -> None:
    file = str(written(tmp_path, route(to(a=1)), service(), deployment()))
    found = json.loads(audited("-f", file, "--complete", "-o", "json").stdout)["findings"]
    assert [each["rule"] for each in found if each["severity"] != "info"] == ["workload-no-readiness-probe"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nkind: [\n", "shop.yaml: not YAML: line 3: "),
        ("kind: Service\nmetadata: {{ .Values.x }}\n", "shop.yaml: not YAML: line 2: "),
        ("a: \x01\n", "shop.yaml: not YAML: "),
        ("a: 2026-99-99\n", "shop.yaml: not YAML: "),
        ("[" * 5000, "shop.yaml: not YAML: "),
    ],
)
def test_what_is_no_yaml_is_an_error_that_names_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "shop.yaml").write_text(text)
    result = audited("-f", str(tmp_path / "shop.yaml"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-f", "missing.yaml"), "missing.yaml: No such file or directory"),
        (("-f", "empty"), "empty: holds no file that ends in .json, .yaml, .yml"),
        (("-f", "empty", "-A"), "exclude each other"),
        (("--complete",), "--complete goes with -f"),
    ],
)
def test_wrong_usage_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    result = audited(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_documents_of_other_kinds_only_are_told_of(tmp_path: Path) -> None:
    result = audited("-f", str(written(tmp_path, {"kind": "Secret"}, "text", None)))
    assert result.exit_code == 0
    assert "none of 3 documents is of a kind that is audited" in result.stderr


def test_a_file_that_names_itself_within_itself_is_audited_to_its_end(tmp_path: Path) -> None:
    """YAML can: an alias within what it stands for."""
    text = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: &m {name: a, labels: *m}
        spec: &s
          rules: [*s, {backendRefs: [{name: a, port: 80, weight: 0}], matches: [*s]}]
          parentRefs: [*s]
    """
    (tmp_path / "shop.yaml").write_text(text)
    for output in ("text", "json", "sarif"):
        assert "route-no-weight" in audited("-f", str(tmp_path / "shop.yaml"), "-o", output).stdout


def test_json_has_everything_a_program_needs(tmp_path: Path) -> None:
    file = written(tmp_path, BAD)
    answer = json.loads(audited("-f", str(file), "-o", "json").stdout)
    (finding,) = answer["findings"]
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "backendRefs" in text)
    assert finding == {
        "rule": "route-no-weight",
        "severity": "error",
        "kind": "HTTPRoute",
        "namespace": "shop",
        "name": "shop",
        "path": "spec.rules[0].backendRefs",
        "message": "the weight of a, b is 0, so every request of this rule fails",
        "fix": RULES["route-no-weight"].fix,
        "suppressed": None,
        "file": str(file),
        "line": line,
    }
    assert answer["summary"] == {"objects": 1, "error": 1, "warning": 0, "info": 0, "suppressed": 0}


# SARIF.


def test_sarif_has_rule_level_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    file = written(tmp_path / "a b", BAD, STICKY)
    (run,) = json.loads(audited("-f", "a b", "-o", "sarif").stdout)["runs"]
    first, second = run["results"]
    rules = [each["id"] for each in run["tool"]["driver"]["rules"]]
    assert rules == list(RULES)
    assert (rules[first["ruleIndex"]], first["level"]) == ("route-no-weight", "error")
    assert (rules[second["ruleIndex"]], second["level"]) == (second["ruleId"], "warning")
    place = second["locations"][0]["physicalLocation"]
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "sessionAffinity" in text)
    assert place == {"artifactLocation": {"uri": "a%20b/shop.yaml"}, "region": {"startLine": line}}


def test_sarif_shows_what_is_suppressed_as_such(tmp_path: Path) -> None:
    file = str(written(tmp_path, IGNORED))
    (run,) = json.loads(audited("-f", file, "-o", "sarif", "--show-suppressed").stdout)["runs"]
    assert [each["suppressions"] for each in run["results"]] == [[{"kind": "inSource", "justification": "carts"}]]


def test_a_finding_keeps_its_fingerprint_when_it_moves_to_another_line(tmp_path: Path) -> None:
    def prints(*manifests: Any) -> list[str]:
        answer = json.loads(audited("-f", str(written(tmp_path, *manifests)), "-o", "sarif").stdout)
        return [each["partialFingerprints"]["evenload/v1"] for each in answer["runs"][0]["results"]]

    assert prints(BAD) == prints(deployment(), BAD)


# A cluster.


def serve(api: FakeApi, *manifests: Any, everywhere: bool = False) -> None:
    """Lists of each kind that is audited, in namespace shop or in all."""
    for resource in AUDITED:
        items = [each for each in manifests if each["kind"] == resource.kind]
        path = resource.path(None if everywhere else "shop")
        api.documents[path] = {"items": items, "metadata": {}}


def test_a_namespace_is_audited_and_what_it_lacks_is_known(
    run: Run, api: FakeApi, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    serve(api, route(to(a=1), {"backendRefs": [{"name": "dns", "namespace": "infra", "port": 53}]}))
    result = run("audit")
    assert result.exit_code == 1
    assert "there is no Service shop/a" in result.stdout
    assert "infra" not in result.stdout  # it was not looked at
    assert api.writes() == []


def test_all_namespaces_are_audited(run: Run, api: FakeApi, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    serve(api, route({"backendRefs": [{"name": "dns", "namespace": "infra", "port": 53}]}), everywhere=True)
    assert "there is no Service infra/dns" in run("audit", "-A").stdout


def test_kinds_that_are_not_installed_are_named_and_the_rest_is_audited(
    run: Run, api: FakeApi, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    serve(api, STICKY)
    del api.documents["/apis/traefik.io/v1alpha1/namespaces/shop/traefikservices"]
    result = run("audit")
    assert result.exit_code == 0
    assert "so not audited: TraefikService" in result.stderr
    assert "service-session-affinity" in result.stdout


def test_a_kind_that_may_not_be_listed_is_named_and_nothing_of_it_is_missed(
    run: Run, api: FakeApi, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    serve(api, route(to(a=1)))
    api.refuse("GET", "/api/v1/namespaces/shop/services", 403, "services is forbidden")
    result = run("audit")
    assert result.exit_code == 3
    assert "Service: not audited, nor what needs it: not allowed: services is forbidden" in result.stderr
    assert "there is no Service" not in result.stdout
    assert run("audit", "--fail-on", "never").exit_code == 0


def test_every_kind_that_has_rules_is_listed_where_the_rules_think_it_is() -> None:
    assert {each.kind: each.group for each in AUDITED} == dict(GROUPS)


def test_the_bad_objects_of_all_rules_are_found_in_one_file(tmp_path: Path) -> None:
    """Each has a line, so no path of a finding is one that the file does not have at all."""
    bad = [manifest for case in CASES.values() for manifest in case.bad]
    answer = json.loads(audited("-f", str(written(tmp_path, *bad)), "-o", "json").stdout)
    assert len({each["rule"] for each in answer["findings"]}) > 60
    assert all(each["line"] >= 1 for each in answer["findings"])


# The table of balancers' versions.

TABLE = """
asOf: {as_of}
balancers:
  - name: Gate
    image: gate
    source: https://example.com/releases
    ended: {{3.10: 2020-01-01}}
    advisories:
      - {{id: CVE-2026-1, affected: [{{before: 3.11.2}}], sentence: it is open, source: https://example.com/1}}
"""


def with_table(folder: Path, text: str) -> Result:
    table = folder / "versions.yaml"
    table.write_text(text)
    file = written(folder, running("mirror/gate:v3.10.1"))
    return audited("-f", str(file), "--versions", str(table), "-o", "json")


def test_a_table_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    result = with_table(tmp_path, TABLE.format(as_of="2999-01-01"))
    found = {each["rule"]: each["message"] for each in json.loads(result.stdout)["findings"]}
    assert "Gate 3.10 got its last fix by 2020-01-01" in found["balancer-end-of-life"]
    assert found["balancer-vulnerable"] == (
        "Gate 3.10.1 is fixed in 3.11.2; CVE-2026-1: it is open (https://example.com/1)"
    )
    assert "days old" not in result.stderr


def test_a_table_that_is_too_old_is_noted(tmp_path: Path) -> None:
    result = with_table(tmp_path, TABLE.format(as_of="2020-01-01"))
    assert "days old (as of 2020-01-01): give a newer one with --versions" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("asOf: [", "is no YAML"),
        (TABLE.format(as_of="soon"), "$.asOf"),
        (TABLE.format(as_of="2026-01-01").replace("3.11.2", "3.11"), "$.balancers[0].advisories[0].affected[0].before"),
        ("#" * (1 << 20) + "\n" + TABLE, "holds more than 1 MiB"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_file_and_field(tmp_path: Path, text: str, complaint: str) -> None:
    result = with_table(tmp_path, text)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert f"--versions {tmp_path}/versions.yaml: " in said
    assert complaint in said


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = audited("-f", str(written(tmp_path, BAD)), "--versions", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "No such file" in result.stderr
