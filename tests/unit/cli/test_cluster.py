from __future__ import annotations

from pathlib import Path

import pytest

from evenload.cli.cluster import Access, connect
from evenload.errors import InputError
from evenload.kube.resources import REMEDIATIONS
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import GROUP, FakeApi, write_kubeconfig

LIST = f"{GROUP}/namespaces/shop/balancers"


def test_an_unreachable_api_server_is_named_with_the_reason_and_the_next_command(run: Run) -> None:
    result = run("get", "--context", "other")
    assert result.exit_code == 3
    assert "http://127.0.0.1:1: [Errno 111] Connection refused" in result.stderr
    assert "kubectl config current-context" in result.stderr


def test_an_unknown_context_is_a_usage_error(run: Run) -> None:
    result = run("get", "--context", "prod")
    assert result.exit_code == 2
    assert "prod" in result.stderr
    assert "kubectl config get-contexts" in result.stderr


def test_a_missing_kubeconfig_is_a_usage_error_that_names_the_file(run: Run, tmp_path: Path) -> None:
    result = run("get", "--kubeconfig", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert f"kubeconfig {tmp_path / 'none'}" in result.stderr


def test_the_flag_wins_over_the_environments_kubeconfig(run: Run, api: FakeApi, tmp_path: Path) -> None:
    api.put_balancer(objects.healthy("there", namespace="elsewhere"))
    other = write_kubeconfig(tmp_path / "other", api.port, namespace="elsewhere")
    assert run("get", "-o", "name", "--kubeconfig", str(other)).stdout == "balancer.evenload.dev/there\n"


def test_a_context_without_namespace_means_default(api: FakeApi, tmp_path: Path) -> None:
    file = write_kubeconfig(tmp_path / "bare", api.port)
    file.write_text(file.read_text().replace("    namespace: shop\n", ""))
    assert connect(Access(kubeconfig=str(file))).namespace == "default"


def test_a_kubeconfig_that_is_no_yaml_mapping_is_an_input_error(tmp_path: Path) -> None:
    file = tmp_path / "broken"
    file.write_text("just words")
    with pytest.raises(InputError, match="broken"):
        connect(Access(kubeconfig=str(file)))


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (401, "Unauthorized", "not signed in: Unauthorized"),
        (403, 'User "jane" cannot list', 'not allowed: User "jane" cannot list'),
        (429, "slow down", "is busy: slow down"),
        (500, "etcd is gone", "the API server failed: etcd is gone"),
        (422, "bad", "refused: bad"),
    ],
)
def test_what_the_api_server_refuses_is_could_not_tell(
    run: Run, api: FakeApi, status: int, message: str, said: str
) -> None:
    api.refuse("GET", LIST, status, message)
    result = run("get")
    assert result.exit_code == 3
    assert said in result.stderr


def test_a_cluster_without_the_crds_points_to_check(run: Run, api: FakeApi) -> None:
    api.refuse("GET", LIST, 404, "404 page not found")
    result = run("get")
    assert result.exit_code == 2
    assert "this cluster has no balancers.evenload.dev" in result.stderr
    assert "evenload check" in result.stderr


def test_long_lists_are_read_page_by_page(api: FakeApi, kubeconfig: Path) -> None:
    for place in range(5):
        api.put_remediation(objects.closed(f"b{place}"))
    assert len(connect(Access(kubeconfig=str(kubeconfig))).every(REMEDIATIONS)) == 5


def test_impersonation_reaches_the_api_server(api: FakeApi, kubeconfig: Path) -> None:
    assert connect(Access(kubeconfig=str(kubeconfig), as_user="deputy")).user() == "deputy"


def test_a_name_with_a_slash_stays_one_name(run: Run, api: FakeApi) -> None:
    run("get", "a/../../secrets")
    assert api.requests[-1] == ("GET", f"{LIST}/a%2F..%2F..%2Fsecrets")


def test_a_change_whose_answer_is_lost_is_not_called_a_failure(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.healthy())
    api.cut_after = "PATCH"
    result = run("pause", "shop")
    assert result.exit_code == 3
    assert "it may have landed" in result.stderr


def test_a_read_whose_answer_is_lost_changes_nothing(run: Run, api: FakeApi) -> None:
    api.cut_after = "GET"
    result = run("get")
    assert result.exit_code == 3
    assert "cannot reach the API server" in result.stderr
