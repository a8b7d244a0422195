"""Where the API server is found, and that credentials stay where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evenload.errors import InputError
from evenload.kube.config import Connection, TokenFile, load, without


def kubeconfig(folder: Path, cluster: dict[str, object], user: dict[str, object] | None = None) -> str:
    path = folder / "config"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return str(path)


def test_a_kubeconfig_gives_address_and_token(tmp_path: Path) -> None:
    connection = load(kubeconfig(tmp_path, {"server": "http://127.0.0.1:8080/"}, {"token": "s3cret"}))
    assert connection.url == "http://127.0.0.1:8080"
    assert connection.headers() == {"Authorization": "Bearer s3cret"}


def test_the_environment_names_the_kubeconfig(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"server": "http://127.0.0.1:8081"})
    environment = {"KUBECONFIG": path, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert load(environment=environment).url == "http://127.0.0.1:8081"


def test_no_token_no_header(tmp_path: Path) -> None:
    assert load(kubeconfig(tmp_path, {"server": "http://127.0.0.1:8080"})).headers() == {}


def test_a_token_is_in_no_repr(tmp_path: Path) -> None:
    connection = load(kubeconfig(tmp_path, {"server": "http://127.0.0.1:8080"}, {"token": "s3cret"}))
    assert repr(connection) == "Connection('http://127.0.0.1:8080')"


def test_https_is_verified_and_asking_not_to_is_refused(tmp_path: Path) -> None:
    assert load(kubeconfig(tmp_path, {"server": "https://127.0.0.1:6443"})).tls is not None
    careless = {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}
    with pytest.raises(InputError, match="certificate-authority"):
        load(kubeconfig(tmp_path, careless))


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        load(str(tmp_path / "nowhere"))


def test_outside_a_pod_the_service_account_is_an_error_in_words() -> None:
    with pytest.raises(InputError, match="service account"):
        load(environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"})


class TestTokenFile:
    def test_it_is_read_again_after_a_minute(self, tmp_path: Path) -> None:
        now = 0.0
        path = tmp_path / "token"
        path.write_text("first\n")
        token = TokenFile(path, clock=lambda: now)
        assert token() == "first"
        path.write_text("second\n")
        assert token() == "first"
        now = 60.0
        assert token() == "second"

    def test_a_file_that_goes_away_leaves_the_last_token(self, tmp_path: Path) -> None:
        now = 0.0
        path = tmp_path / "token"
        path.write_text("first")
        token = TokenFile(path, clock=lambda: now)
        assert token() == "first"
        path.unlink()
        now = 100.0
        assert token() == "first"

    @pytest.mark.parametrize("content", [None, "", "\n"])
    def test_a_file_that_never_held_one_is_named(self, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / "token"
        if content is not None:
            path.write_text(content)
        with pytest.raises(InputError, match=str(path)):
            TokenFile(path)()

    def test_the_token_is_in_no_repr(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("s3cret")
        token = TokenFile(path)
        assert token() == "s3cret"
        assert "s3cret" not in repr(token)


def test_a_connection_reads_its_credentials_afresh() -> None:
    tokens = iter(("Bearer one", "Bearer two"))
    connection = Connection("http://127.0.0.1", authorization=lambda: next(tokens))
    assert connection.headers() != connection.headers()


def test_what_a_server_repeats_is_without_the_token_that_was_sent() -> None:
    connection = Connection("http://127.0.0.1", authorization=lambda: "Bearer s3cret")
    assert connection.unsigned("said before: s3cret") == "said before: s3cret"
    connection.headers()
    assert (
        connection.unsigned("got Authorization: Bearer s3cret, refused")
        == "got Authorization: Bearer (removed), refused"
    )


def test_a_secret_that_is_hardly_one_does_not_tear_sentences() -> None:
    assert without("a header was refused", ["a", ""]) == "a header was refused"
