"""Queries: what people may put into them, and that nothing can break out of them."""

from __future__ import annotations

import re

import pytest

from evenload.errors import InputError, InvariantBroken
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.model.spec import Query, SignalLabels, Signals
from evenload.observe.promql import read_matcher
from evenload.observe.queries import Source, duration, quoted, render, shared, source_of, templates_of
from evenload.presets import PRESETS


def source(signals: Signals | None = None, *, scrape: float = 5.0) -> Source:
    return source_of(signals or Signals(), default_url="http://prometheus:9090/", scrape_seconds=scrape)


class TestWindow:
    @pytest.mark.parametrize(("scrape", "window"), [(1, 15), (5, 15), (10, 30), (15, 45), (60, 180)])
    def test_by_default_it_holds_three_scrapes_and_at_least_15_seconds(self, scrape: float, window: float) -> None:
        assert source(scrape=scrape).window_seconds == window

    def test_its_samples_span_one_scrape_less(self) -> None:
        assert source(scrape=5).span_seconds == 10

    def test_a_person_may_choose_it(self) -> None:
        assert source(Signals(window="1m30s")).window_seconds == 90

    def test_one_too_short_for_two_scrapes_is_refused_with_the_fix(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.window.*at least 10s"):
            source(Signals(window="8s"))


class TestSource:
    def test_equal_wishes_are_equal_sources(self) -> None:
        assert source() == source(Signals())
        assert hash(source()) == hash(source(Signals()))

    def test_a_balancers_own_prometheus_comes_before_the_installations(self) -> None:
        assert source().url == "http://prometheus:9090"
        assert source(Signals(prometheus_url="http://mine:1/")).url == "http://mine:1"

    def test_without_any_prometheus_the_field_is_named(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.prometheusUrl"):
            source_of(Signals(), default_url="", scrape_seconds=5)

    def test_an_unknown_preset_is_named_with_those_there_are(self) -> None:
        with pytest.raises(InputError, match=r'spec\.signals\.preset: there is no "apps"; there is app'):
            source(Signals(preset="apps"))

    def test_the_labels_must_differ(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.labels\.pod: the same"):
            source(Signals(labels=SignalLabels(namespace="a", pod="a")))
        with pytest.raises(InputError, match="adds itself"):
            source(Signals(labels=SignalLabels(pod="evenload")))

    @pytest.mark.parametrize("field", ["namespace", "pod", "code"])
    @pytest.mark.parametrize("name", ["", "1st", 'pod"} or vector(1) or x{y="', "kubernetes.pod"])
    def test_a_label_name_that_is_none_is_refused(self, field: str, name: str) -> None:
        with pytest.raises(InputError, match=rf"spec\.signals\.labels\.{field}"):
            source(Signals(labels=SignalLabels(**{field: name})))

    def test_an_unknown_variable_is_named_with_those_there_are(self) -> None:
        with pytest.raises(InputError, match=r"\$\(windw\).*\$\(window\)"):
            source(Signals(queries=(Query(signal="cpu", query="rate(x[$(windw)])"),)))


def restricted(signals: Signals, *allowed: str, own_queries: bool = False, default: str = "http://p:1") -> Source:
    return source_of(signals, default_url=default, scrape_seconds=5, allowed_urls=allowed, own_queries=own_queries)


class TestMatchers:
    EAST = Signals(matchers=(' cluster = "east" ', 'container!~"a|b"'))

    def test_the_balancers_are_in_every_selector_of_the_applications_metrics(self) -> None:
        for signal in ("requests", "errors", "latency", "inFlight"):
            query = render(source(self.EAST), signal, ["shop"])
            assert query.count("{") == query.count(', cluster="east", container!~"a|b"')

    @pytest.mark.parametrize("signal", ["cpu", "memory"])
    def test_of_the_kubelets_only_those_that_name_a_cluster(self, signal: SignalName) -> None:
        query = render(source(self.EAST), signal, ["shop"])
        assert query.count("{") == query.count(', cluster="east"')
        assert "a|b" not in query

    def test_the_installations_are_in_every_selector_at_its_own_address(self) -> None:
        everywhere = (read_matcher('az="1"', "prometheus.matchers"),)
        for signal in SIGNALS:
            ours = source_of(Signals(), default_url="http://p:1", scrape_seconds=5, matchers=everywhere)
            query = render(ours, signal, ["shop"])
            assert query.count("{") == query.count(', az="1"')
        away = Signals(prometheus_url="http://mine:1")
        assert "az" not in render(
            source_of(away, default_url="http://p:1", scrape_seconds=5, matchers=everywhere), "cpu", ["shop"]
        )

    def test_in_another_order_they_are_the_same_wish(self) -> None:
        assert source(self.EAST) == source(Signals(matchers=tuple(reversed(self.EAST.matchers))))
        assert not source(self.EAST).usual

    @pytest.mark.parametrize("text", ['namespace="x"', 'pod=~".*"', 'evenload="value"'])
    def test_what_evenload_matches_itself_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.matchers: .*match another"):
            source(Signals(matchers=(text,)))

    def test_one_that_is_none_is_refused_with_the_field(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.matchers"):
            source(Signals(matchers=("cluster=east",)))


class TestWhatTheInstallationAllows:
    def test_an_address_it_does_not_name_is_refused_with_the_value_of_the_chart(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.prometheusUrl: .*prometheus\.allowedUrls"):
            restricted(Signals(prometheus_url="http://q:1"))

    def test_its_own_address_may_be_named_and_is_its_own(self) -> None:
        assert restricted(Signals(prometheus_url="http://P:1/")) == restricted(Signals())
        assert not restricted(Signals()).foreign

    def test_what_goes_on_from_its_own_address_is_another(self) -> None:
        with pytest.raises(InputError, match=r"prometheus\.allowedUrls"):
            restricted(Signals(prometheus_url="http://p:1/tenant"))

    def test_an_address_that_is_allowed_is_foreign(self) -> None:
        assert restricted(Signals(prometheus_url="http://q:1/x"), "http://q:1").foreign
        assert restricted(Signals(prometheus_url="http://q:1/x"), "*").own

    def test_queries_are_refused_with_the_value_of_the_chart(self) -> None:
        queries = (Query(signal="cpu", query="up"),)
        with pytest.raises(InputError, match=r"spec\.signals\.queries: .*prometheus\.allowOwnQueries"):
            restricted(Signals(queries=queries))
        assert restricted(Signals(queries=queries), own_queries=True).own

    def test_a_query_that_would_end_its_wrapper_is_refused(self) -> None:
        query = Query(signal="cpu", query='up, "a", "b", "", "") or label_replace(secret{n="$(namespaces)"}')
        with pytest.raises(InputError, match=r"spec\.signals\.queries: cpu: .*comma"):
            source(Signals(queries=(query,)))

    @pytest.mark.parametrize(("named", "default"), [("http://me:s3cret@q", "http://p"), (None, "http://me:s3cret@p")])
    def test_a_password_is_refused_and_not_repeated(self, named: str | None, default: str) -> None:
        with pytest.raises(InputError) as caught:
            restricted(Signals(prometheus_url=named), "*", default=default)
        assert "s3cret" not in str(caught.value)
        assert "tokenSecret" in str(caught.value)


class TestRendering:
    @pytest.mark.parametrize(
        ("preset", "signal"),
        [(name, signal) for name, preset in PRESETS.items() for signal in templates_of(preset)],
    )
    def test_every_query_of_every_preset_is_filled_in_and_balanced(self, preset: str, signal: SignalName) -> None:
        text = render(source(Signals(preset=preset)), signal, ["shop"])
        assert "$(" not in text
        assert text.count("(") == text.count(")")
        assert text.count("{") == text.count("}")
        assert text.count('"') % 2 == 0

    def test_label_names_are_the_balancers_for_its_metrics_and_the_kubelets_for_the_kubelets(self) -> None:
        mine = source(Signals(labels=SignalLabels(namespace="k8s_ns", pod="k8s_pod", code="status")))
        requests = render(mine, "errors", ["shop"])
        assert 'k8s_ns=~"shop"' in requests
        assert 'status=~"5.."' in requests
        assert 'namespace=~"shop", pod!=""' in render(mine, "cpu", ["shop"])

    def test_a_persons_query_replaces_one_signal(self) -> None:
        own = source(Signals(queries=(Query(signal="cpu", query='my_cpu{ns=~"$(namespaces)"}[$(window)]'),)))
        assert render(own, "cpu", ["shop", "till"]) == (
            'label_replace(my_cpu{ns=~"shop|till"}[15s], "evenload", "value", "", "")'
        )
        assert "http_requests_total" in render(own, "requests", ["shop"])

    def test_whether_the_counter_carries_a_status_is_asked_with_the_errors(self) -> None:
        mine = source(Signals(labels=SignalLabels(code="status")))
        errors = render(mine, "errors", ["shop"])
        assert 'status!~"[1-5].."} unless on (namespace, pod) http_requests_total' in errors
        assert '"evenload", "uncoded"' in errors
        assert '"evenload", "coded"' not in errors

    def test_of_every_pod_where_a_persons_query_counts_the_requests(self) -> None:
        own = source(Signals(queries=(Query(signal="requests", query="my_requests"),)))
        assert '"evenload", "coded"' in render(own, "errors", ["shop"])

    def test_a_query_that_names_one_balancers_pods_is_not_shared(self) -> None:
        assert shared('x{namespace=~"$(namespaces)"}')
        assert not shared('x{namespace="$(namespace)"}')
        assert not shared('x{pod=~"$(pods)"}')


class TestQuoting:
    @pytest.mark.parametrize("name", ["shop", "shop-a-7d9f", "a.b.c", "web-0"])
    def test_a_name_matches_itself_and_nothing_else(self, name: str) -> None:
        pattern = re.compile(quoted([name]))
        assert pattern.fullmatch(name)
        assert not pattern.fullmatch(name.replace(".", "x") + "y")
        assert "." not in name or not pattern.fullmatch(name.replace(".", "x"))

    def test_names_are_sorted_so_that_equal_sets_are_equal_queries(self) -> None:
        assert quoted(["b", "a", "b"]) == "a|b"

    @pytest.mark.parametrize("value", ['"', "\\", "a|b", "a.*", "}", "\n", "a b"])
    def test_what_is_no_name_is_kept_out(self, value: str) -> None:
        if value == "a.*":
            value = "a(.*)"
        with pytest.raises(InvariantBroken):
            quoted([value])


@pytest.mark.parametrize(("seconds", "text"), [(15, "15s"), (2.5, "2500ms"), (0.25, "250ms"), (90, "90s")])
def test_durations_are_promqls(seconds: float, text: str) -> None:
    assert duration(seconds) == text
