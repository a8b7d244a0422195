"""A real Prometheus that asks for a client certificate and a password over TLS, by a CA of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from evenload.errors import SignalsUnavailable
from evenload.observe.access import Access, from_files
from evenload.observe.prometheus import Prometheus
from lab import build, parts
from lab.control_plane import free_ports
from tests.support.wait import until

pytestmark = [pytest.mark.xdist_group("prometheus"), pytest.mark.timeout(1800)]

USER, PASSWORD = "admin", "test"
BCRYPT = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"  # of that password, from Prometheus' guide


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def certify(folder: Path) -> None:
    """Two authorities, ca and other; of the first a server and a client certificate."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for name in ("ca", "other"):
        openssl(
            "req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt", folder=folder
        )
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl(
            "req", *key[:-2], "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", folder=folder
        )
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt", folder=folder)
    (folder / "password").write_text(PASSWORD + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates, keys and the password."""
    found = tmp_path_factory.mktemp("certificates")
    certify(found)
    return found


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    build.ensure(("prometheus",))
    tls = {"cert_file": "server.crt", "key_file": "server.key", "client_ca_file": "ca.crt"}
    web = {
        "tls_server_config": tls | {"client_auth_type": "RequireAndVerifyClientCert"},
        "basic_auth_users": {USER: BCRYPT},
    }
    (folder / "web.yml").write_text(yaml.safe_dump(web))
    (folder / "prometheus.yml").write_text("{}\n")
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            str(parts.folder("prometheus") / "prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--web.config.file={folder}/web.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def access(folder: Path, **changes: str) -> Access:
    files = {"ca_file": "ca.crt", "cert_file": "client.crt", "key_file": "client.key", "password_file": "password"}
    return from_files(username=USER, **{name: str(folder / file) for name, file in (files | changes).items() if file})


def ask(url: str, how: Access) -> bytes:
    prometheus = Prometheus(url, access=how, deadline_seconds=60.0)
    try:
        return prometheus.now("vector(1)", bytes)
    finally:
        prometheus.close()


@pytest.fixture
async def ready(url: str, folder: Path) -> str:
    def answers() -> bool:
        try:
            return b"success" in ask(url, access(folder))
        except SignalsUnavailable:
            return False

    await until(answers, what="an answer", pause=0.2)
    return url


async def test_with_all_of_it_prometheus_answers(ready: str, folder: Path) -> None:
    assert b'"1"' in ask(ready, access(folder))


@pytest.mark.parametrize(
    "changes",
    [{"ca_file": ""}, {"ca_file": "other.crt"}, {"cert_file": "", "key_file": ""}, {"password_file": "prometheus.yml"}],
)
async def test_without_one_of_them_it_does_not_and_nothing_secret_is_said(
    ready: str, folder: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(SignalsUnavailable) as caught:
        ask(ready, access(folder, **changes))
    assert PASSWORD not in str(caught.value).replace("latest", "")
    assert BCRYPT not in str(caught.value)


async def test_files_that_are_replaced_are_used_without_a_restart(ready: str, folder: Path) -> None:
    (folder / "rotated.crt").write_bytes((folder / "other.crt").read_bytes())
    prometheus = Prometheus(ready, access=access(folder, ca_file="rotated.crt"), deadline_seconds=60.0)
    with pytest.raises(SignalsUnavailable, match="certificate"):
        prometheus.now("vector(1)", bytes)
    (folder / "rotated.crt").write_bytes((folder / "ca.crt").read_bytes() + b"\n")
    assert b"success" in prometheus.now("vector(1)", bytes)
    prometheus.close()
