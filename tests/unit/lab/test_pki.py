"""Certificates: real openssl makes them, Python's own strict verification judges them."""

import json
import subprocess
from pathlib import Path

import pytest

from lab import pki
from lab.layout import NODE_ADDRESS, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(name="lab", folder=tmp_path / "lab", programs={})


def test_the_scheduler_signs_in_under_the_name_kubernetes_gives_rights_to(layout: Layout) -> None:
    users = {each.name: each.common_name for each in pki.control_plane_certificates(layout)}
    assert users["scheduler"] == "system:kube-scheduler"
    assert users["controller-manager"] == "system:kube-controller-manager"


def test_only_the_administrator_is_a_master(layout: Layout) -> None:
    certificates = (*pki.control_plane_certificates(layout), *pki.node_certificates(layout))
    assert [each.name for each in certificates if each.organization == "system:masters"] == ["admin"]


def test_the_api_server_is_known_by_its_service_and_by_the_node(layout: Layout) -> None:
    server = next(each for each in pki.control_plane_certificates(layout) if each.name == "apiserver")
    assert {"DNS:kubernetes.default.svc", "IP:10.96.0.1", f"IP:{NODE_ADDRESS}"} <= set(server.alternative_names)


def test_a_certificate_says_what_it_is_for_and_no_more(tmp_path: Path) -> None:
    arguments = pki.certificate_arguments(tmp_path, pki.Certificate(name="x", common_name="x", signs_in=True))
    assert "extendedKeyUsage=clientAuth" in arguments
    assert "basicConstraints=critical,CA:FALSE" in arguments


def test_a_group_becomes_the_organization(tmp_path: Path) -> None:
    certificate = pki.Certificate(name="x", common_name="me", organization="us", signs_in=True)
    assert "/O=us/CN=me" in pki.certificate_arguments(tmp_path, certificate)


@pytest.mark.parametrize("name", ["apiserver", "etcd", "admin"])
def test_every_certificate_stands_up_to_strict_verification(layout: Layout, name: str) -> None:
    pki.create(layout, [each for each in pki.control_plane_certificates(layout) if each.name == name])
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", str(layout.authority), str(layout.certificate(name))]
    assert subprocess.run(verify, capture_output=True, text=True).stdout.strip().endswith("OK")


def test_keys_are_in_a_folder_that_only_the_owner_may_enter(layout: Layout) -> None:
    pki.create(layout, ())
    assert layout.pki.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_trusts_the_lab_s_authority_and_skips_no_check(layout: Layout) -> None:
    content = json.loads(pki.kubeconfig(layout, "admin"))
    cluster = content["clusters"][0]["cluster"]
    assert cluster == {"server": layout.api_url, "certificate-authority": str(layout.authority)}
