"""Queries: what people may put into them, and that nothing can break out of them."""

from __future__ import annotations

import re

import pytest

from evenload.errors import InputError, InvariantBroken
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.model.spec import Query, SignalLabels, Signals
from evenload.observe.promql import read_matcher
from evenload.observe.queries import (
    Source,
    duration,
    found_as,
    found_in,
    looked_for,
    quoted,
    render,
    shared,
    source_of,
    templates_of,
)
from evenload.presets import PRESETS


def source(signals: Signals | None = None, *, scrape: float = 5.0) -> Source:
    return source_of(signals or Signals(preset="app"), default_url="http://prometheus:9090/", scrape_seconds=scrape)


class TestWindow:
    @pytest.mark.parametrize(("scrape", "window"), [(1, 15), (5, 15), (10, 30), (15, 45), (60, 180)])
    def test_by_default_it_holds_three_scrapes_and_at_least_15_seconds(self, scrape: float, window: float) -> None:
        assert source(scrape=scrape).window_seconds == window

    def test_its_samples_span_one_scrape_less(self) -> None:
        assert source(scrape=5).span_seconds == 10

    @pytest.mark.parametrize(
        ("scrape", "window", "lately"), [(10.0, None, 25.0), (5.0, "1m", 15.0), (10.0, "20s", 20.0), (10.0, "4m", 60.0)]
    )
    def test_a_pods_newest_sample_may_be_so_old(self, scrape: float, window: str | None, lately: float) -> None:
        found = source_of(Signals(preset="app", window=window), default_url="http://p:1", scrape_seconds=scrape)
        assert found.lately_seconds == lately
        assert f"[{lately:g}s]" in render(found, "requests", {"shop"})

    def test_a_person_may_choose_it(self) -> None:
        assert source(Signals(preset="app", window="1m30s")).window_seconds == 90

    def test_one_too_short_for_two_scrapes_is_refused_with_the_fix(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.window.*at least 10s"):
            source(Signals(preset="app", window="8s"))


class TestSource:
    def test_equal_wishes_are_equal_sources(self) -> None:
        assert source() == source(Signals(preset="app"))
        assert hash(source()) == hash(source(Signals(preset="app")))

    def test_a_balancers_own_prometheus_comes_before_the_installations(self) -> None:
        assert source().url == "http://prometheus:9090"
        assert source(Signals(preset="app", prometheus_url="http://mine:1/")).url == "http://mine:1"

    def test_without_any_prometheus_the_field_is_named(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.prometheusUrl"):
            source_of(Signals(preset="app"), default_url="", scrape_seconds=5)

    def test_an_unknown_preset_is_named_with_those_there_are(self) -> None:
        with pytest.raises(InputError, match=r'spec\.signals\.preset: there is no "apps"; there is app'):
            source(Signals(preset="apps"))

    def test_the_labels_must_differ(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.labels\.pod: the same"):
            source(Signals(preset="app", labels=SignalLabels(namespace="a", pod="a")))
        with pytest.raises(InputError, match="adds itself"):
            source(Signals(preset="app", labels=SignalLabels(pod="evenload")))

    @pytest.mark.parametrize("field", ["namespace", "pod", "code"])
    @pytest.mark.parametrize("name", ["", "1st", 'pod"} or vector(1) or x{y="', "kubernetes.pod"])
    def test_a_label_name_that_is_none_is_refused(self, field: str, name: str) -> None:
        with pytest.raises(InputError, match=rf"spec\.signals\.labels\.{field}"):
            source(Signals(preset="app", labels=SignalLabels(**{field: name})))

    def test_an_unknown_variable_is_named_with_those_there_are(self) -> None:
        with pytest.raises(InputError, match=r"\$\(windw\).*\$\(window\)"):
            source(Signals(preset="app", queries=(Query(signal="cpu", query="rate(x[$(windw)])"),)))


def restricted(signals: Signals, *allowed: str, own_queries: bool = False, default: str = "http://p:1") -> Source:
    return source_of(signals, default_url=default, scrape_seconds=5, allowed_urls=allowed, own_queries=own_queries)


class TestMatchers:
    EAST = Signals(preset="app", matchers=(' cluster = "east" ', 'container!~"a|b"'))

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
            ours = source_of(Signals(preset="app"), default_url="http://p:1", scrape_seconds=5, matchers=everywhere)
            query = render(ours, signal, ["shop"])
            assert query.count("{") == query.count(', az="1"')
        away = Signals(preset="app", prometheus_url="http://mine:1")
        assert "az" not in render(
            source_of(away, default_url="http://p:1", scrape_seconds=5, matchers=everywhere), "cpu", ["shop"]
        )

    def test_in_another_order_they_are_the_same_wish(self) -> None:
        assert source(self.EAST) == source(Signals(preset="app", matchers=tuple(reversed(self.EAST.matchers))))
        assert not source(self.EAST).usual

    @pytest.mark.parametrize("text", ['namespace="x"', 'pod=~".*"', 'evenload="value"'])
    def test_what_evenload_matches_itself_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.matchers: .*match another"):
            source(Signals(preset="app", matchers=(text,)))

    def test_one_that_is_none_is_refused_with_the_field(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.matchers"):
            source(Signals(preset="app", matchers=("cluster=east",)))


class TestWhatTheInstallationAllows:
    def test_an_address_it_does_not_name_is_refused_with_the_value_of_the_chart(self) -> None:
        with pytest.raises(InputError, match=r"spec\.signals\.prometheusUrl: .*prometheus\.allowedUrls"):
            restricted(Signals(preset="app", prometheus_url="http://q:1"))

    def test_its_own_address_may_be_named_and_is_its_own(self) -> None:
        assert restricted(Signals(preset="app", prometheus_url="http://P:1/")) == restricted(Signals(preset="app"))
        assert not restricted(Signals(preset="app")).foreign

    def test_what_goes_on_from_its_own_address_is_another(self) -> None:
        with pytest.raises(InputError, match=r"prometheus\.allowedUrls"):
            restricted(Signals(preset="app", prometheus_url="http://p:1/tenant"))

    def test_an_address_that_is_allowed_is_foreign(self) -> None:
        assert restricted(Signals(preset="app", prometheus_url="http://q:1/x"), "http://q:1").foreign
        assert restricted(Signals(preset="app", prometheus_url="http://q:1/x"), "*").own

    def test_queries_are_refused_with_the_value_of_the_chart(self) -> None:
        queries = (Query(signal="cpu", query="up"),)
        with pytest.raises(InputError, match=r"spec\.signals\.queries: .*prometheus\.allowOwnQueries"):
            restricted(Signals(preset="app", queries=queries))
        assert restricted(Signals(preset="app", queries=queries), own_queries=True).own

    def test_a_query_that_would_end_its_wrapper_is_refused(self) -> None:
        query = Query(signal="cpu", query='up, "a", "b", "", "") or label_replace(secret{n="$(namespaces)"}')
        with pytest.raises(InputError, match=r"spec\.signals\.queries: cpu: .*comma"):
            source(Signals(preset="app", queries=(query,)))

    @pytest.mark.parametrize(("named", "default"), [("http://me:s3cret@q", "http://p"), (None, "http://me:s3cret@p")])
    def test_a_password_is_refused_and_not_repeated(self, named: str | None, default: str) -> None:
        with pytest.raises(InputError) as caught:
            restricted(Signals(preset="app", prometheus_url=named), "*", default=default)
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
        mine = source(Signals(preset="app", labels=SignalLabels(namespace="k8s_ns", pod="k8s_pod", code="status")))
        requests = render(mine, "errors", ["shop"])
        assert 'k8s_ns=~"shop"' in requests
        assert 'status=~"5.."' in requests
        assert 'namespace=~"shop", pod!=""' in render(mine, "cpu", ["shop"])

    def test_a_persons_query_replaces_one_signal(self) -> None:
        own = source(
            Signals(preset="app", queries=(Query(signal="cpu", query='my_cpu{ns=~"$(namespaces)"}[$(window)]'),))
        )
        assert render(own, "cpu", ["shop", "till"]) == (
            'label_replace(my_cpu{ns=~"shop|till"}[15s], "evenload", "value", "", "")'
        )
        assert "http_requests_total" in render(own, "requests", ["shop"])

    def test_whether_the_counter_carries_a_status_is_asked_with_the_errors(self) -> None:
        mine = source(Signals(preset="app", labels=SignalLabels(code="status")))
        errors = render(mine, "errors", ["shop"])
        assert 'status!~"[1-5].."} unless on (namespace, pod) http_requests_total' in errors
        assert '"evenload", "uncoded"' in errors
        assert '"evenload", "coded"' not in errors

    def test_of_every_pod_where_a_persons_query_counts_the_requests(self) -> None:
        own = source(Signals(preset="app", queries=(Query(signal="requests", query="my_requests"),)))
        assert '"evenload", "coded"' in render(own, "errors", ["shop"])

    def test_a_query_that_names_one_balancers_pods_is_not_shared(self) -> None:
        assert shared('x{namespace=~"$(namespaces)"}')
        assert not shared('x{namespace="$(namespace)"}')
        assert not shared('x{pod=~"$(pods)"}')


class TestLookingForThePreset:
    UNSET = source(Signals())
    PODS = frozenset({("shop", "a"), ("shop", "b")})

    def found(self, **rows: str) -> tuple[str, str] | None:
        """What is found where each candidate ("_" for "/") has series of these pods of the shop."""
        named = {name.replace("_", "/", 1): {("shop", pod) for pod in pods} for name, pods in rows.items()}
        source = found_in(self.UNSET, named, self.PODS)
        return (source.preset.name, source.code) if source is not None and source.preset is not None else None

    def test_one_query_asks_for_all_of_them(self) -> None:
        text = render(self.UNSET, "requests", ["shop"])
        assert self.UNSET.templates.keys() == {"requests"}
        for preset in PRESETS.values():
            for label in (*preset.codes, ""):
                assert (f'"evenload", "{preset.name}/{label}"' in text) == preset.findable
        assert "$(" not in text

    @pytest.mark.parametrize("name", ["envoy-gateway", "traefik"])
    def test_one_that_names_no_pods_is_not_found_by_looking(self, name: str) -> None:
        assert PRESETS[name].requests not in render(self.UNSET, "requests", ["shop"])

    def test_it_is_the_one_that_answers_for_most_pods(self) -> None:
        assert self.found(app_code="a", istio_response_code="ab") == ("istio", "response_code")

    def test_what_an_application_counts_comes_before_what_a_proxy_counts(self) -> None:
        assert self.found(istio_response_code="ab", app_status="ab") == ("app", "status")

    def test_one_that_tells_failures_comes_before_one_that_does_not(self) -> None:
        assert self.found(app_="ab", istio_="ab", istio_response_code="a") == ("istio", "response_code")

    def test_without_any_status_the_counter_is_used_all_the_same(self) -> None:
        assert self.found(app_="ab") == ("app", "code")

    def test_pods_of_others_do_not_count(self) -> None:
        assert self.found(app_code="xyz", otel_http_response_status_code="a") == ("otel", "http_response_status_code")
        assert self.found(app_code="xyz") is None

    def test_a_label_that_the_spec_names_is_the_only_one_looked_for(self) -> None:
        named = source(Signals(labels=SignalLabels(code="result")))
        assert {candidate.code for candidate in named.candidates} == {"result", ""}

    def test_with_an_own_query_for_requests_nothing_is_looked_for(self) -> None:
        own = source(Signals(queries=(Query(signal="requests", query="x"),)))
        assert own.preset == PRESETS["app"]

    def test_what_was_found_earlier_is_taken_up_only_if_it_is_one_of_them(self) -> None:
        known = found_as(self.UNSET, "micrometer", "status")
        assert known == source(Signals(preset="micrometer", labels=SignalLabels(code="status")))
        assert found_as(self.UNSET, "micrometer", 'x"') is None
        assert found_as(self.UNSET, "nonsense", "") is None

    def test_it_is_a_query_of_the_installations_own(self) -> None:
        assert self.UNSET.usual
        found = found_as(self.UNSET, "app", "status_code")
        assert found is not None
        assert found.usual

    def test_where_none_answers_the_sentence_names_what_was_looked_for(self) -> None:
        sentence = looked_for(self.UNSET)
        for preset in PRESETS.values():
            assert (f"{preset.requests} ({preset.name})" in sentence) == preset.findable
        assert "spec.signals.labels" in sentence


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
