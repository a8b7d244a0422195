"""Signing in to a Prometheus: what is sent, what is read again, and what is never said."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from evenload.errors import InputError
from evenload.observe.access import Access, from_files

SECRET = "pa55-w0rd"


def test_a_user_and_a_password_are_basic_auth(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET + "\n")
    access = from_files(username="op", password_file=str(tmp_path / "password"))
    assert access.headers() == {"Authorization": "Basic " + base64.b64encode(b"op:pa55-w0rd").decode()}


def test_headers_come_from_texts_and_from_a_folder_as_a_secret_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "X-Api-Key").write_text(SECRET)
    access = Access(headers=["X-Scope-OrgID: team-a"], headers_folder=str(tmp_path))
    assert access.headers() == {"X-Scope-OrgID": "team-a", "X-Api-Key": SECRET}
    (tmp_path / "X-Api-Key").write_text("another")
    assert access.headers()["X-Api-Key"] == "another"


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"token": lambda: "x", "user": lambda: "u", "password": lambda: "p"}, "give one of them"),
        ({"user": lambda: "u"}, "give both"),
        ({"cert_file": "/c"}, "give both files"),
        ({"headers": ["no colon"]}, "X-Scope-OrgID: team-a"),
        ({"headers": ["Authorization: Bearer x"]}, "sign in"),
        ({"headers": ["a b: c"]}, "letters, digits"),
        ({"headers": ["x: a\nHost: b"]}, "line break"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object], fix: str) -> None:
    with pytest.raises(InputError, match=fix):
        Access(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("secret", ["a\nb", "\u00e4\u4e2d", "a\x00b"])
def test_a_secret_that_cannot_be_sent_is_not_repeated(tmp_path: Path, secret: str) -> None:
    (tmp_path / "X-Key").write_text(secret)
    for access in (Access(token=lambda: secret), Access(headers_folder=str(tmp_path))):
        with pytest.raises(InputError) as caught:
            access.headers()
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-folder"):
        Access(headers_folder=str(tmp_path / "no-folder")).headers()
    with pytest.raises(InputError, match=r"no-ca\.pem"):
        Access(ca_file=str(tmp_path / "no-ca.pem")).tls()
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(InputError, match=r"ca\.pem: not in the PEM format"):
        Access(ca_file=str(tmp_path / "ca.pem")).tls()


def test_what_a_server_repeats_is_without_all_that_signs_in(tmp_path: Path) -> None:
    (tmp_path / "X-Api-Key").write_text("k3y-of-the-api")
    for access in (
        Access(token=lambda: SECRET, headers_folder=str(tmp_path), headers=["X-Scope-OrgID: team-a"]),
        Access(user=lambda: "op", password=lambda: SECRET, headers_folder=str(tmp_path)),
    ):
        repeated = f"got {access.headers()}, password {SECRET}"
        left = access.unsigned(repeated)
        assert [
            each for each in (SECRET, "k3y-of-the-api", base64.b64encode(b"op:pa55-w0rd").decode()) if each in left
        ] == []
    assert Access(headers=["X-Scope-OrgID: team-a"]).unsigned("no tenant team-a") == "no tenant team-a"
