"""Addresses of Prometheus: what is one, in which form it is compared, and what a Balancer may name."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evenload.errors import InputError
from evenload.observe.address import is_allowed, normal, read_url, redacted


class TestReading:
    @pytest.mark.parametrize(
        ("text", "same_as"),
        [
            ("http://prometheus:9090", "http://prometheus:9090"),
            ("http://Prometheus.Monitoring:9090/", "http://prometheus.monitoring:9090"),
            ("http://prometheus:80", "http://prometheus"),
            ("https://thanos.example:443/a/b/", "https://thanos.example/a/b"),
            ("https://thanos.example:", "https://thanos.example"),
            ("http://[::1]:9090", "http://[::1]:9090"),
            ("http://10.1.2.3", "http://10.1.2.3"),
            ("http://my_service.ns.svc.cluster.local.:1", "http://my_service.ns.svc.cluster.local.:1"),
        ],
    )
    def test_an_address_has_one_form(self, text: str, same_as: str) -> None:
        assert str(read_url(text, "url")) == same_as
        assert normal(text) == same_as

    @pytest.mark.parametrize(
        ("text", "fix"),
        [
            ("", "write it like http"),
            ("prometheus:9090", "write it like http"),
            ("ftp://prometheus", "write it like http"),
            ("HTTP://prometheus", "write it like http"),
            ("http://", "write it like http"),
            ("http://[", "write it like http"),
            ("http://[::1", "write it like http"),
            ("http://[fe80::1%eth0]", "write it like http"),
            ("http://[1:2]", "IPv6"),
            ("http://me:s3cret@prometheus", "remove it"),
            ("http://@:@", "remove it"),
            ("http://prometheus/x?y=", "ends with its path"),
            ("http://prometheus/x#", "ends with its path"),
            ("http://prometheus#@evil", "remove it"),
            ("http://a b", "space"),
            ("http://a\n", "control character"),
            ("http://x/\x00", "control character"),
            ("http://ex\u2100mple", "ASCII"),
            ("http://xn--\u0130", "ASCII"),
            ("http://a:99999999", "from 1 to 65535"),
            ("http://a:65536", "from 1 to 65535"),
            ("http://a:0", "from 1 to 65535"),
            ("http://a:b", "from 1 to 65535"),
            ("http://a:b:c:d", "from 1 to 65535"),
            ("http://.a", "DNS name"),
            ("http://a..b", "DNS name"),
            ("http://-a", "DNS name"),
            (f"http://{'a' * 64}", "DNS name"),
            (f"http://{'a.' * 130}b", "DNS name"),
            ("http://a\\b", "DNS name"),
            ("http://2130706433", "four parts"),
            ("http://0x7f.1", "four parts"),
            ("http://127.1", "four parts"),
            ("http://a/../b", "path"),
            ("http://a/./b", "path"),
            ("http://a//b", "path"),
            ("http://a/%2e%2e/b", "path"),
            (f"http://a/{'b' * 3000}", "longer than 2048"),
        ],
    )
    def test_what_is_none_is_refused_with_the_field_and_the_fix(self, text: str, fix: str) -> None:
        with pytest.raises(InputError) as caught:
            read_url(text, "spec.signals.prometheusUrl")
        assert str(caught.value).startswith("spec.signals.prometheusUrl: ")
        assert fix in str(caught.value)
        assert "s3cret" not in str(caught.value)

    @given(st.one_of(st.text(), st.text().map("http://".__add__), st.from_regex(r"https?://[^/]*(:.*)?(/.*)?")))
    @example("http://[")
    @example("http://[::ffff:1.2.3.4]:1/")
    @example("http://a\u3002b")
    def test_any_text_is_an_address_that_urllib_reads_the_same_way_or_an_error(self, text: str) -> None:
        redacted(text)
        normal(text)
        with contextlib.suppress(InputError):
            url = read_url(text, "field")
            parts = urlsplit(str(url))
            assert (parts.scheme, parts.hostname, parts.path) == (url.scheme, url.host.strip("[]"), url.path)
            assert (parts.username, parts.query, parts.fragment) == (None, "", "")
            assert (parts.port or {"http": 80, "https": 443}[url.scheme]) == url.port
            assert read_url(str(url), "field") == url


class TestAllowing:
    @pytest.mark.parametrize(
        ("url", "prefixes", "allowed"),
        [
            ("http://a:1", (), False),
            ("http://a:1", ("*",), True),
            ("http://a:1", ("http://a:1",), True),
            ("http://a:1/x/y", ("http://a:1/x",), True),
            ("http://a:1/x", ("http://a:1/x/",), True),
            ("http://a:1/xy", ("http://a:1/x",), False),
            ("http://a:1", ("http://a:1/x",), False),
            ("http://a:11", ("http://a:1",), False),
            ("http://a.evil:1", ("http://a:1",), False),
            ("https://a:1", ("http://a:1",), False),
            ("http://b", ("http://a", "http://b:80"), True),
            ("http://A", ("http://a",), True),
        ],
    )
    def test_an_address_is_allowed_by_a_prefix_that_ends_where_a_part_of_the_path_ends(
        self, url: str, prefixes: tuple[str, ...], allowed: bool
    ) -> None:
        assert is_allowed(read_url(url, "field"), prefixes) is allowed

    def test_a_prefix_that_is_no_address_is_named_by_the_value_of_the_chart(self) -> None:
        with pytest.raises(InputError, match=r"prometheus\.allowedUrls"):
            is_allowed(read_url("http://a", "field"), ("prometheus",))
