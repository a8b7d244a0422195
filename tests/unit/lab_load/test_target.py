"""Load goes to this machine or a lab, and nowhere else."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.target import ForbiddenTarget, check_target


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/",
        "http://[::1]:8080/",
        "http://10.96.0.20/",
        "http://172.31.9.1:80/shop?x=1",
        "http://192.168.7.1/",
        "http://169.254.1.2/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
    ],
)
def test_loopback_private_and_link_local_addresses_are_allowed_as_they_are(url: str) -> None:
    assert check_target(url) == url


def test_localhost_becomes_an_address() -> None:
    assert check_target("http://localhost:8080/a") == "http://127.0.0.1:8080/a"
    assert check_target("http://localhost/") == "http://127.0.0.1:80/"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://8.8.8.8/", "neither loopback nor private"),
        ("http://172.32.0.1/", "neither loopback nor private"),
        ("http://0.0.0.0/", "neither loopback nor private"),
        ("http://[::ffff:8.8.8.8]/", "neither loopback nor private"),
        ("http://100.64.0.1/", "neither loopback nor private"),
        ("http://shop.example/", "give its address.*--host-header shop.example"),
        ("http://localhost.evil.example/", "give its address"),
        ("http://127.0.0.1@8.8.8.8/", "neither loopback nor private"),
        ("http://127.1/", "give its address"),
        ("https://127.0.0.1/", "give http://"),
        ("127.0.0.1:8080", "give http://"),
        ("http:///x", "give http://"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(url: str, message: str) -> None:
    with pytest.raises(ForbiddenTarget, match=message):
        check_target(url)


@given(st.ip_addresses())
def test_no_address_of_the_internet_gets_through(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        check_target(f"http://{host}/")
    except ForbiddenTarget:
        return
    assert not address.is_global
