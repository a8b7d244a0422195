"""A recording is written by people as well as by programs, so what is wrong in one is told by line and field."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from evenload import recording
from evenload.errors import RecordingError
from evenload.model.decision import Decision, Held, HeldReason
from evenload.model.diagnosis import Diagnosis, Evidence, Label
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.plan import Advise, Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Backend, Hold, Pod, RouteWrite, Signal, SignalState, Snapshot
from evenload.recording import Header, Recording, decision_line, read, with_signals, write

MANIFEST: dict[str, object] = {
    "apiVersion": "evenload.dev/v1alpha1",
    "kind": "Balancer",
    "metadata": {"name": "shop"},
    "spec": {"targetRef": {"kind": "HTTPRoute", "name": "shop"}, "mode": "Auto"},
}
HEADER = json.dumps({"evenload": "recording/v1", "balancer": MANIFEST, "tick": 10})
TICK = (
    '{"time": 1760089500.0, "window": 30, "backends": {"shop-a": {"weight": 250, "pods": {"shop-a-x": {"ready": true, '
    '"age": 8600, "node": "n1", "requests": 312, "errors": 0, "latency": 0.021, "cpu": 0.31, "cpuLimit": 0.5, '
    '"memory": 81e6, "memoryLimit": 2.5e8, "inFlight": 3}}}}}'
)

numbers = st.floats(min_value=0, max_value=1e12, allow_nan=False)
maybe = st.none() | numbers
names = st.text(st.characters(codec="ascii", categories=("Ll", "Nd"), include_characters="-"), min_size=1, max_size=12)
pods = st.builds(
    Pod,
    ready=st.booleans(),
    age=maybe,
    uid=names,
    node=st.none() | names,
    workload=st.none() | names,
    terminating=st.booleans(),
    requests=maybe,
    errors=maybe,
    latency=maybe,
    cpu=maybe,
    cpu_limit=maybe,
    memory=maybe,
    memory_limit=maybe,
    in_flight=maybe,
)
weights = st.dictionaries(names, st.integers(0, 1_000_000), max_size=3)
steps = st.builds(
    Step,
    name=names,
    action=st.sampled_from(["SetWeights", "Drain", "RestartPod"]),
    state=st.sampled_from(StepState),
    planned_at=numbers,
    purpose=st.none() | st.sampled_from(Purpose),
    before=st.none() | weights,
    after=st.none() | weights,
)
episodes = st.builds(
    Episode,
    name=names,
    opened_at=numbers,
    label=st.sampled_from(Label),
    phase=st.sampled_from(Phase),
    steps=st.lists(steps, max_size=3).map(tuple),
    overloaded_pods=st.dictionaries(names, names, max_size=2),
)
snapshots = st.builds(
    Snapshot,
    time=st.just(0.0),
    window=st.floats(min_value=1, max_value=600),
    backends=st.dictionaries(
        names,
        st.builds(Backend, weight=st.integers(0, 10**6), pods=st.dictionaries(names, pods, max_size=3)),
        max_size=3,
    ),
    signals=st.dictionaries(
        st.sampled_from(["requests", "cpu"]), st.builds(Signal, state=st.sampled_from(SignalState), age=maybe)
    ),
    last_write=st.none() | st.builds(RouteWrite, manager=names, time=numbers, before=st.none() | weights),
    known_good=st.none() | weights,
    episode=st.none() | episodes,
    holds=st.lists(st.builds(Hold, reason=names), max_size=2).map(tuple),
)


def in_order(unordered: list[Snapshot]) -> tuple[Snapshot, ...]:
    return tuple(replace(snapshot, time=1760089500.0 + 10 * index) for index, snapshot in enumerate(unordered))


def written(recording: Recording) -> bytes:
    sink = io.BytesIO()
    write(recording, sink)
    return sink.getvalue()


def refusal(lines: Iterable[bytes | str]) -> str:
    with pytest.raises(RecordingError) as raised:
        list(read(lines).snapshots)
    return str(raised.value)


@settings(max_examples=50)
@given(st.lists(snapshots, max_size=3))
def test_what_was_written_is_read_back_and_written_alike(unordered: list[Snapshot]) -> None:
    ticks = in_order(unordered)
    data = written(Recording(header=Header.of(MANIFEST, 10), snapshots=ticks))
    assert tuple(read(io.BytesIO(data)).snapshots) == ticks
    assert written(read(io.BytesIO(data))) == data


def test_the_design_example_is_read_from_text_and_from_bytes() -> None:
    (from_text,) = read([HEADER, TICK]).snapshots
    (from_bytes,) = read([HEADER.encode(), TICK.encode()]).snapshots
    assert from_text == from_bytes
    pod = from_text.backends["shop-a"].pods["shop-a-x"]
    assert (pod.requests, pod.cpu_limit, pod.in_flight) == (312, 0.5, 3)


def test_blank_lines_are_passed_over_and_still_counted() -> None:
    assert len(list(read([HEADER, "", TICK, "\n"]).snapshots)) == 1
    assert refusal([HEADER, "\n", "{"]).startswith("line 3: not JSON")


def test_snapshots_are_read_only_when_asked_for() -> None:
    snapshots = iter(read([HEADER, TICK, "broken"]).snapshots)
    assert next(snapshots).time == 1760089500.0


def test_the_header_gives_the_spec() -> None:
    header = read([HEADER]).header
    assert (header.spec.target_ref.name, header.tick) == ("shop", 10)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "line 1: the recording is empty"),
        (["", " \n"], "line 1: the recording is empty"),
        ([TICK], "line 1, field evenload: the header is missing"),
        ([HEADER.replace("/v1", "/v7", 1)], 'line 1, field evenload: "recording/v7" is a format'),
        ([HEADER.replace('"tick": 10', '"tick": 0')], "line 1, field tick: 0 is no interval"),
        ([HEADER.replace('"spec"', '"sepc"')], "line 1, field balancer.spec: is missing"),
        (
            [HEADER.replace('"Balancer"', '"Pod"')],
            'line 1, field balancer.kind: "Pod"; give the manifest of a Balancer',
        ),
        ([HEADER.replace('"Auto"', '"auto"')], "line 1, field balancer.spec.mode: invalid enum value 'auto'"),
        (
            [HEADER.replace('"mode": "Auto"', '"restart": {"drainTimeout": "x"}')],
            "line 1, field balancer.spec.restart.drainTimeout: expected `str`",
        ),
        ([HEADER.replace('"mode"', '"mdoe"')], 'line 1, field balancer.spec.mdoe: unknown key; did you mean "mode"?'),
        ([HEADER, TICK[:-1]], "line 2: not JSON"),
        ([HEADER, b"\xff\xfe"], "line 2: not JSON"),
        ([HEADER, "[1]"], "line 2: expected `object`, got `array`"),
        ([HEADER, TICK.replace('"time": 1760089500.0, ', "")], "line 2: object missing required field `time`"),
        (
            [HEADER, TICK.replace("312", '"many"')],
            "line 2, field backends.shop-a.pods.shop-a-x.requests: expected `float | null`, got `str`",
        ),
        ([HEADER, TICK.replace("312", "NaN")], "line 2, field backends.shop-a.pods.shop-a-x.requests: not JSON"),
        ([HEADER, TICK.replace("0.31", "-Infinity")], "line 2, field backends.shop-a.pods.shop-a-x.cpu: not JSON"),
        (
            [HEADER, TICK.replace('"requests"', '"request"')],
            'line 2, field backends.shop-a.pods.shop-a-x.request: unknown key; did you mean "requests"?',
        ),
        ([HEADER, TICK.replace('"window"', '"zzz": 1, "window"')], "line 2, field zzz: unknown key; known here: time,"),
        ([HEADER, TICK.replace("312", "-1")], "line 2, field backends.shop-a.pods.shop-a-x.requests: -1 is negative"),
        ([HEADER, TICK.replace("250", "-2")], "line 2, field backends.shop-a.weight: -2 is negative"),
        ([HEADER, TICK.replace('"window": 30', '"window": 0')], "line 2, field window: 0 is no window"),
        ([HEADER, TICK, TICK.replace("9500.0", "9490.0")], "line 3, field time: 1760089490.0 is before the line above"),
    ],
)
def test_what_is_wrong_is_told_by_line_and_field(lines: list[bytes | str], expected: str) -> None:
    assert expected in refusal(lines)


@given(st.binary(max_size=60))
def test_no_line_of_bytes_escapes_as_another_error(line: bytes) -> None:
    with contextlib.suppress(RecordingError):
        assert list(read([HEADER.encode(), line]).snapshots) == []  # blank, or refused


def test_unmentioned_signals_are_judged_by_who_has_a_number() -> None:
    pods = {
        "a": Pod(ready=True, requests=3.0, cpu=0.1),
        "b": Pod(ready=True, requests=4.0),
        "gone": Pod(ready=False),
    }
    told = Signal(state=SignalState.Stale, age=90.0)
    snapshot = Snapshot(time=1, window=30, backends={"x": Backend(weight=1, pods=pods)}, signals={"latency": told})
    signals = with_signals(snapshot).signals
    assert signals["requests"].state == SignalState.Fresh
    assert signals["cpu"].state == SignalState.Partial
    assert signals["memory"].state == SignalState.Missing
    assert signals["latency"] == told


def test_a_decision_line_has_the_public_keys_in_order() -> None:
    action = SetWeights(before={"a": 1, "b": 9}, after={"a": 5, "b": 5}, purpose=Purpose.Restore, because="equal again")
    held = Held(
        action=RestartPod(backend="b", pod="b-1", uid="u", workload="Deployment/b", because="sick"),
        reason=HeldReason.CoolDown,
        until=1760089800.0,
    )
    decision = Decision(
        time=1760089500.0,
        diagnosis=Diagnosis(
            label=Label.LoadBalancerSkew,
            pods=("b-1",),
            backends=("b",),
            evidence=(Evidence(metric="share", observed=0.9, expected=0.5, threshold=1.3, subject="b"),),
        ),
        actions=(action, Advise(topic="Scale", because="busy")),
        held=(held,),
    )
    line = decision_line(decision)
    parsed = json.loads(line)
    assert line.endswith(b"}\n")
    assert b" " not in line.replace(b"equal again", b"")
    assert list(parsed) == ["time", "diagnosis", "pods", "backends", "evidence", "actions", "held"]
    assert parsed["diagnosis"] == "LoadBalancerSkew"
    assert [part["action"] for part in parsed["actions"]] == ["SetWeights", "Advise"]
    assert parsed["held"][0]["reason"] == "CoolDown"
    assert parsed["held"][0]["action"]["pod"] == "b-1"
    assert parsed["evidence"][0] == {
        "metric": "share",
        "observed": 0.9,
        "expected": 0.5,
        "threshold": 1.3,
        "subject": "b",
    }


def test_a_file_without_a_line_end_is_refused_before_it_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_LINE_BYTES", 1000)
    file = io.BytesIO(b"x" * 1_000_000)
    with pytest.raises(RecordingError, match="line 1: more than"):
        read(recording.lines_of(file))
    assert file.tell() <= 1001


def test_objects_in_objects_without_end_are_refused() -> None:
    with pytest.raises(RecordingError, match="line 1: objects in objects"):
        read([b'{"a":' * 100_000])
