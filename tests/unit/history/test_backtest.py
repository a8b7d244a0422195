"""A past in Prometheus, and what is said about it: incidents found, actions counted once, assumptions told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from evenload import clock
from evenload.cli.main import app
from tests.support.fakeprometheus import FakePrometheus, Mode

NOW = 1_760_090_400.0
TICK = 15.0
HOUR = 3600.0
BACKENDS = ("shop-a", "shop-b", "shop-c", "shop-d")
PODS = tuple(f"{backend}-6b9f7c5d8-x2x9q" for backend in BACKENDS)
INCIDENT = (NOW - HOUR, NOW - HOUR + 600)
SINCE, TICKS = "80m", 321  # enough for all is well, the incident, and all is well again

Numbers = dict[tuple[str, str], Mapping[str, float]]
Backtest = Callable[..., Any]


def pods_at(time: float, skewed: bool) -> Numbers:
    found: Numbers = {}
    for place, pod in enumerate(PODS):
        usual = 400.0 + (time / TICK * 7 + place * 13) % 11
        requests = (1480.0 if place == 0 else 40.0) if skewed else usual
        found["shop", pod] = {
            "requests": requests,
            "errors": 500.0 if skewed and place == 0 else 0.0,
            "latency": 0.02 + 1e-9 * (time % 1000),  # live traffic never is quite the same
            "cpu": 0.9 if skewed and place == 0 else requests / 2000,
            "memory": 8e7,
            "inFlight": 2.0,
        }
    return found


def incident(time: float) -> Numbers:
    """For ten minutes one server gets nearly everything."""
    return pods_at(time, INCIDENT[0] <= time < INCIDENT[1])


def healthy(time: float) -> Numbers:
    return pods_at(time, False)


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus(window_seconds=45.0, scrape_seconds=15.0) as prometheus:
        prometheus.history, prometheus.frozen = incident, True  # what it tells depends on the time alone
        yield prometheus


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A Balancer and its route, applied nowhere."""
    balancer = {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Balancer",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"targetRef": {"kind": "HTTPRoute", "name": "shop"}, "signals": {"preset": "app"}},
    }
    refs = [{"name": backend, "port": 80, "weight": 250} for backend in BACKENDS]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"rules": [{"backendRefs": refs}]},
    }
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump_all([balancer, route]))
    return file


@pytest.fixture
def misspelt(manifest: Path) -> Path:
    """The same file, with a share for a backend that the route does not have."""
    balancer, route = yaml.safe_load_all(manifest.read_text())
    listed = [{"backend": name, "weight": 1} for name in ("shop-aa", *BACKENDS[1:])]
    balancer["spec"]["desired"] = {"type": "Explicit", "shares": listed}
    manifest.write_text(yaml.safe_dump_all([balancer, route]))
    return manifest


@pytest.fixture
def call(prometheus: FakePrometheus, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")

    async def run(*arguments: str, code: int = 0) -> Result:
        command = ["backtest", "-f", str(manifest), "--prometheus", prometheus.url, "--since", SINCE, *arguments]
        result = await asyncio.to_thread(lambda: CliRunner().invoke(app, command, catch_exceptions=False))
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def judged(call: Backtest) -> Backtest:
    async def run(*arguments: str) -> Any:
        (result,) = json.loads((await call("-o", "json", *arguments)).stdout)
        return result

    return run


class TestWhatItFinds:
    async def test_the_incident_of_an_hour_ago_is_found_once(self, judged: Backtest) -> None:
        (episode,) = (await judged())["episodes"]
        assert episode["label"] == "LoadBalancerSkew"
        assert episode["backends"] == ["shop-a"]
        assert INCIDENT[0] <= episode["openedAt"] <= INCIDENT[0] + 60
        assert INCIDENT[1] <= episode["closedAt"] <= INCIDENT[1] + 120

    async def test_a_would_be_write_is_counted_once_though_it_is_wished_for_on_every_tick(
        self, judged: Backtest
    ) -> None:
        (episode,) = (await judged())["episodes"]
        kinds = [(write["action"], write.get("purpose")) for write in episode["writes"] if not write.get("held")]
        assert kinds == [("SetWeights", "Rebalance")]

    async def test_failed_requests_are_those_of_the_servers_counters(self, judged: Backtest) -> None:
        result = await judged()
        truth = 600 / 30 * 500  # ten minutes of 500 in each window, which spans 30 s
        assert result["failed"] == pytest.approx(truth, rel=0.05)
        (episode,) = result["episodes"]
        assert 0 < episode["failedAfter"] < episode["failed"] <= truth * 1.05
        assert episode["judgement"] == "AtStake"

    async def test_they_are_not_known_where_no_counter_carries_the_status(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        prometheus.uncoded = {key: {"status": "503"} for key in prometheus.history(NOW) or {}}
        result = await judged()
        (episode,) = result["episodes"]
        assert episode["label"] == "LoadBalancerSkew"
        assert (result["failed"], episode["failed"], episode["failedAfter"]) == (None, None, None)
        assert episode["judgement"] == "ErrorsUnknown"

    async def test_a_healthy_past_has_nothing_to_tell(self, prometheus: FakePrometheus, judged: Backtest) -> None:
        prometheus.history = healthy
        result = await judged()
        assert result["episodes"] == []
        assert set(result["labels"]) <= {"Healthy", "NoData"}
        assert result["labels"]["Healthy"] > TICKS - 11

    async def test_a_fault_that_went_by_itself_is_called_doubtful(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        prometheus.history = lambda time: pods_at(time, INCIDENT[0] <= time < INCIDENT[0] + 75)
        (episode,) = (await judged())["episodes"]
        assert episode["judgement"] == "OverByItself"


class TestThePast:
    async def test_it_is_asked_for_in_chunks_that_cover_it(self, prometheus: FakePrometheus, judged: Backtest) -> None:
        await judged("--since", "2h")
        asked = sorted(prometheus.ranges)
        assert len(asked) > 1
        assert (asked[0][0], asked[-1][1]) == (NOW - 2 * HOUR, NOW)
        assert all(after[0] == before[1] + TICK for before, after in itertools.pairwise(asked))

    async def test_a_prometheus_that_cannot_bear_it_is_asked_for_less(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        whole = await judged()
        prometheus.most_moments = 40
        assert await judged() == whole

    async def test_a_gap_in_the_history_is_missing_data_and_not_missing_pods(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        gap = NOW - 1800, NOW - 1500
        prometheus.history = lambda time: None if gap[0] <= time < gap[1] else healthy(time)
        result = await judged()
        assert result["labels"]["NoData"] >= 20
        assert result["ticks"] == TICKS

    async def test_pods_that_are_gone_belong_where_their_names_say(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        def replaced(time: float) -> Numbers:
            then = healthy(time)
            if time >= NOW - HOUR:
                then["shop", "shop-a-7c5d86b9f-bbbbb"] = then.pop(("shop", PODS[0]))
            return then

        prometheus.history = replaced
        result = await judged()
        assert result["ticks"] == TICKS
        assert not [episode for episode in result["episodes"] if episode["writes"]]
        assert any("5 pods that are gone" in sentence for sentence in result["assumptions"])

    async def test_weights_that_our_own_metric_remembers_are_used(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        bad = {"shop-a": 970.0, "shop-b": 10.0, "shop-c": 10.0, "shop-d": 10.0}
        prometheus.weights = lambda time: bad if INCIDENT[0] <= time < INCIDENT[1] else dict.fromkeys(BACKENDS, 250.0)
        result = await judged()
        (episode,) = result["episodes"]
        (write,) = episode["writes"]
        assert (write["purpose"], write["before"]["shop-a"]) == ("Restore", 970)
        assert len(set(write["after"].values())) == 1
        assert "evenload_backend_weight remembers" in result["assumptions"][0]

    async def test_weights_that_nobody_remembers_are_an_assumption(self, judged: Backtest) -> None:
        first = (await judged())["assumptions"][0]
        assert "as in the file's HTTPRoute shop all along (shop-a 250, shop-b 250, shop-c 250, shop-d 250)" in first

    async def test_a_signal_that_fails_is_told_and_the_rest_is_judged(
        self, prometheus: FakePrometheus, judged: Backtest
    ) -> None:
        prometheus.modes["latency"] = Mode.Http500
        result = await judged()
        assert [episode["label"] for episode in result["episodes"]] == ["LoadBalancerSkew"]
        assert any("latency could not be read" in sentence for sentence in result["assumptions"])


class TestWhatItSays:
    async def test_the_table_names_the_incident_and_that_nothing_was_simulated(self, call: Backtest) -> None:
        result = await call()
        assert "1 episode; 1 write would have been made, of them 0 to restart a pod" in result.stdout
        assert "LoadBalancerSkew   shop-a" in result.stdout
        assert "did not change the traffic" in result.stderr
        assert "Weights were taken to have been" in result.stderr

    async def test_the_page_holds_everything_itself(self, call: Backtest) -> None:
        page = (await call("-o", "html")).stdout
        assert page.startswith("<!doctype html>")
        assert "LoadBalancerSkew" in page
        assert "<svg " in page
        assert "<script" not in page
        assert "did not change the traffic" in page
        assert 'href="http' not in page
        assert "src=" not in page

    async def test_nothing_but_range_queries_is_asked(self, prometheus: FakePrometheus, call: Backtest) -> None:
        await call()
        assert prometheus.ranges
        assert prometheus.largest_outstanding > 0


def name_prometheus(manifest: Path, url: str) -> None:
    balancer, route = yaml.safe_load_all(manifest.read_text())
    balancer["spec"]["signals"] = {"preset": "app", "prometheusUrl": url}
    manifest.write_text(yaml.safe_dump_all([balancer, route]))


class TestTheToken:
    @pytest.fixture
    def token(self, tmp_path: Path) -> str:
        (tmp_path / "token").write_text("s3cret")
        return str(tmp_path / "token")

    async def test_it_goes_to_the_address_that_the_person_names(
        self, prometheus: FakePrometheus, call: Backtest, token: str
    ) -> None:
        await call("--token-file", token)
        assert set(prometheus.authorizations) == {"Bearer s3cret"}

    @pytest.mark.parametrize("named", [False, True])
    async def test_it_never_goes_to_the_address_that_a_balancer_names(
        self, prometheus: FakePrometheus, call: Backtest, manifest: Path, token: str, named: bool
    ) -> None:
        async with FakePrometheus(window_seconds=45.0, scrape_seconds=15.0) as other:
            other.history = prometheus.history
            name_prometheus(manifest, other.url)
            result = await call("--token-file", token, "--prometheus", prometheus.url if named else "")
            assert bool(other.authorizations) is not named
            assert set(other.authorizations) <= {None}
            assert ("--token-file is not used" in result.stderr) is not named

    async def test_a_password_in_the_balancers_address_is_refused_though_another_is_asked(
        self, call: Backtest, manifest: Path
    ) -> None:
        name_prometheus(manifest, "http://me:s3cret@p")
        result = await call(code=2)
        assert "spec.signals.prometheusUrl: holds a user name or a password" in result.stderr
        assert "s3cret" not in result.output


def given(file: Path, text: str | None) -> None:
    """Nothing there where `text` is None."""
    file.unlink()
    if text is not None:
        file.write_text(text)


class TestPresetsOfYourOwn:
    @pytest.fixture
    def presets(self, tmp_path: Path, manifest: Path) -> Path:
        """A file with the preset that the Balancer names."""
        balancer, route = yaml.safe_load_all(manifest.read_text())
        balancer["spec"]["signals"] = {"preset": "house"}
        manifest.write_text(yaml.safe_dump_all([balancer, route]))
        ours = yaml.safe_load((resources.files("evenload.presets") / "app.yaml").read_text())
        file = tmp_path / "presets.yaml"
        file.write_text(yaml.safe_dump({"house": {**ours, "inFlight": None}}))
        return file

    async def test_are_read_from_a_file(self, judged: Backtest, presets: Path) -> None:
        (episode,) = (await judged("--presets", str(presets)))["episodes"]
        assert episode["label"] == "LoadBalancerSkew"

    async def test_without_the_file_the_preset_is_refused_by_name(self, call: Backtest, presets: Path) -> None:
        assert 'spec.signals.preset: there is no "house"' in (await call(code=2)).stderr

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [("house: {title: 7}", "house: "), ("[", "presets.yaml: "), (None, "No such file or directory")],
    )
    async def test_a_file_that_cannot_be_read_is_named(
        self, call: Backtest, presets: Path, text: str | None, complaint: str
    ) -> None:
        given(presets, text)
        said = (await call("--presets", str(presets), code=2)).stderr
        assert f"--presets {presets}" in said
        assert complaint in said


class TestWhatGoesWrong:
    async def test_a_prometheus_that_is_not_there_is_named(self, prometheus: FakePrometheus, call: Backtest) -> None:
        prometheus.mode = Mode.Http500
        result = await call(code=3)
        assert f"Prometheus at {prometheus.url} answered 500: disk on fire" in result.stderr

    async def test_shares_that_are_not_of_the_routes_backends_are_named(self, misspelt: Path, call: Backtest) -> None:
        told = (await call(code=2)).stderr
        assert '"shop-aa" is not a backend of HTTPRoute shop' in told
        assert "no share is given for shop-a" in told

    async def test_a_prometheus_without_any_of_it_says_so(self, prometheus: FakePrometheus, call: Backtest) -> None:
        prometheus.mode = Mode.Empty
        assert "Prometheus has no history of it" in (await call()).stdout

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--since", "a week"), '--since: "a week" is not a duration'),
            (("--since", "1h", "--until", "2h"), "--since 1h: must be further back than --until 2h"),
            (("-f", "/nowhere.yaml"), "/nowhere.yaml: No such file or directory"),
            (("shop",), "give names, or a file with -f, not both"),
        ],
    )
    async def test_what_was_typed_wrong_is_named(
        self, call: Backtest, arguments: tuple[str, ...], complaint: str
    ) -> None:
        assert complaint in (await call(*arguments, code=2)).stderr

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("kind: Service\nmetadata: {name: shop}\n", "holds no Balancer"),
            ("kind: Balancer\nmetadata: {name: shop}\nspec: {targetRef: {name: 7}}\n", "$.targetRef.name"),
            ("kind: [", "not YAML"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named(self, tmp_path: Path, text: str, complaint: str) -> None:
        file = tmp_path / "wrong.yaml"
        file.write_text(text)
        result = CliRunner().invoke(app, ["backtest", "-f", str(file)], catch_exceptions=False)
        assert result.exit_code == 2
        assert complaint in result.stderr
