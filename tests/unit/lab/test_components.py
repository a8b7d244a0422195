"""The files and command lines of the lab's programs: what was learnt the hard way stays in them."""

import json
from pathlib import Path

import pytest

from lab import parts
from lab.components import (
    PRIVATE,
    apiserver,
    containerd,
    controller_manager,
    etcd,
    kube_proxy,
    kubelet,
    prometheus,
    scheduler,
    traefik,
)
from lab.errors import CannotRun
from lab.layout import Layout

NAMES = (*parts.KUBERNETES_PROGRAMS, "containerd", "runc", "ctr", "traefik", "prometheus")
EVERY = (etcd, apiserver, controller_manager, scheduler, containerd, kubelet, kube_proxy, traefik, prometheus)


@pytest.fixture
def layout() -> Layout:
    return Layout(
        name="lab",
        folder=Path("/labs/evenload-lab"),
        programs={name: Path("/bin") / name for name in NAMES},
        namespace=Path("/run/netns/evenload-lab"),
        control_group="evenload-lab",
    )


def loopback_layout() -> Layout:
    return Layout(name="control-plane", folder=Path("/f"), programs={"kube-apiserver": Path("/a")}, address="127.0.0.1")


def test_every_file_of_every_program_lies_in_the_lab_s_folder(layout: Layout) -> None:
    files = [path for module in EVERY for path in module.program(layout).files]
    assert files
    assert all(path.is_relative_to(layout.folder) for path in files)


def test_no_program_is_told_to_skip_verification(layout: Layout) -> None:
    for module in EVERY:
        program = module.program(layout)
        text = " ".join([*program.argv, *program.files.values()]).lower()
        assert "insecure-skip" not in text
        assert "insecure_skip" not in text


def test_the_api_server_authorizes_by_rbac_and_restricts_nodes(layout: Layout) -> None:
    argv = apiserver.program(layout).argv
    assert "--authorization-mode=Node,RBAC" in argv
    assert "--enable-admission-plugins=NodeRestriction" in argv


def test_the_api_server_reaches_kubelets_by_address_since_there_is_no_dns(layout: Layout) -> None:
    assert "--kubelet-preferred-address-types=InternalIP" in apiserver.program(layout).argv


def test_on_loopback_the_api_server_publishes_no_endpoint_of_its_own(layout: Layout) -> None:
    assert "--endpoint-reconciler-type=none" in apiserver.program(loopback_layout()).argv
    assert "--endpoint-reconciler-type=none" not in apiserver.program(layout).argv


def test_a_program_that_was_not_given_is_named_in_the_error() -> None:
    with pytest.raises(CannotRun, match="no kube-scheduler"):
        scheduler.program(loopback_layout())


def test_the_kubelet_lets_nobody_in_who_is_not_signed_in_and_authorized(layout: Layout) -> None:
    settings = kubelet.settings(layout)
    assert settings["authentication"]["anonymous"] == {"enabled": False}  # type: ignore[index]
    assert settings["authorization"] == {"mode": "Webhook"}
    assert settings["readOnlyPort"] == 0


def test_pods_stay_in_the_lab_s_control_group(layout: Layout) -> None:
    assert kubelet.settings(layout)["cgroupRoot"] == "/evenload-lab"


def test_kubelet_and_containerd_share_mounts_that_nobody_else_sees(layout: Layout) -> None:
    assert containerd.program(layout).mounts == PRIVATE
    assert kubelet.program(layout).mounts == "containerd"


def test_kube_proxy_leaves_the_machine_s_connection_tracking_alone(layout: Layout) -> None:
    assert kube_proxy.settings(layout)["conntrack"] == {
        "maxPerCore": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }


def test_containerd_s_configuration_is_toml_with_every_path_in_the_folder(layout: Layout) -> None:
    import tomllib

    content = tomllib.loads(containerd.toml(layout))
    cri = content["plugins"]["io.containerd.grpc.v1.cri"]
    assert content["root"].startswith(str(layout.folder))
    assert content["state"].startswith(str(layout.folder))
    assert cri["restrict_oom_score_adj"] is True
    assert cri["netns_mounts_under_state_dir"] is True


def test_sockets_have_room_in_their_107_characters(layout: Layout) -> None:
    assert len(str(layout.containerd_socket)) <= 107


def test_a_pod_reaches_itself_through_its_own_service(layout: Layout) -> None:
    plugins = json.loads(containerd.network(layout))["plugins"]
    assert plugins[0]["hairpinMode"] is True


def test_prometheus_keeps_the_containers_and_not_the_groups_above_them(layout: Layout) -> None:
    jobs = {job["job_name"]: job for job in prometheus.settings(layout)["scrape_configs"]}  # type: ignore[attr-defined]
    rules = jobs["cadvisor"]["metric_relabel_configs"]
    assert {"source_labels": ["container"], "regex": "", "action": "drop"} in rules


def test_prometheus_names_pods_by_namespace_pod_and_node(layout: Layout) -> None:
    jobs = {job["job_name"]: job for job in prometheus.settings(layout)["scrape_configs"]}  # type: ignore[attr-defined]
    targets = {rule.get("target_label") for rule in jobs["pods"]["relabel_configs"]}
    assert {"namespace", "pod", "node"} <= targets


def test_the_api_server_has_memory_to_spare_and_no_processor_time(layout: Layout) -> None:
    assert apiserver.program(layout).environment == {"GOGC": "400"}


def test_traefik_signs_in_as_itself(layout: Layout) -> None:
    assert traefik.program(layout).environment == {"KUBECONFIG": str(layout.kubeconfig("traefik"))}


def test_the_release_is_stamped_where_kubectl_and_the_servers_look() -> None:
    flags = parts.kubernetes_linker_flags("1.34.4")
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=34" in flags
