"""Recordings: what the engine saw, one Snapshot a line, so that any decision can be made again, anywhere, by anyone.

The format `recording/v1` is JSON lines: a header with the Balancer's manifest and the tick, then Snapshots in order of
time. `evenload.model.snapshot` is its schema, in camelCase; an absent key is an absent number. People write recordings
by hand and send them with bug reports, so reading one trusts nothing: whatever is wrong is refused with the line, the
field and the fix. A key that nobody knows is refused too, because a misspelt signal would replay as a missing one.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, BinaryIO, Protocol, TypeVar, Union, get_args, get_origin

import msgspec

from evenload.errors import InputError, RecordingError
from evenload.model.base import Value
from evenload.model.decision import Decision, Held
from evenload.model.diagnosis import Evidence, Label
from evenload.model.plan import Action
from evenload.model.policy import Policy
from evenload.model.snapshot import SIGNALS, Pod, Signal, SignalState, Snapshot
from evenload.model.spec import BalancerSpec

FORMAT = "recording/v1"

MOST_LINE_BYTES = 64 << 20  # a Snapshot of 50,000 pods has 20 MB

Line = TypeVar("Line", bound=msgspec.Struct)


class Header(Value, frozen=True, kw_only=True):
    """The first line: which format, for which Balancer (its whole manifest), and the seconds between two lines."""

    evenload: str
    balancer: dict[str, object]
    tick: float

    @property
    def spec(self) -> BalancerSpec:
        """Raises msgspec.ValidationError where the manifest is not a Balancer's; `read` has made sure that it is."""
        return msgspec.convert(self.balancer.get("spec"), BalancerSpec)

    @classmethod
    def of(cls, balancer: Mapping[str, object], tick_seconds: float) -> Header:
        """The header of a new recording."""
        return cls(evenload=FORMAT, balancer=dict(balancer), tick=float(tick_seconds))


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A header, and Snapshots that are read, checked and forgotten one at a time."""

    header: Header
    snapshots: Iterable[Snapshot]


class Sink(Protocol):
    """Whatever takes bytes: a file opened with "wb", a BytesIO, a compressor's stream."""

    def write(self, data: bytes, /) -> object: ...


def read(stream: Iterable[bytes | str]) -> Recording:
    """The recording in these lines. The header is read now, the rest when asked for.

    Raises RecordingError, here or while iterating, naming the line, the field and the fix.
    """
    lines = ((number, line) for number, line in enumerate(stream, start=1) if _bounded(number, line).strip())
    number, first = next(lines, (1, None))
    if first is None:
        raise RecordingError(f'line 1: the recording is empty; it starts with {{"evenload": "{FORMAT}", ...}}')
    return Recording(header=_header(number, first), snapshots=_snapshots(lines))


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, of a device without end too: what `read` refuses is not read further."""
    return iter(lambda: file.readline(MOST_LINE_BYTES + 1), b"")


def _bounded(number: int, line: bytes | str) -> bytes | str:
    if len(line) > MOST_LINE_BYTES:
        raise RecordingError(f"line {number}: more than {MOST_LINE_BYTES >> 20} MiB; a line is one Snapshot")
    return line


def write(recording: Recording, sink: Sink) -> None:
    """All of the recording, a line at a time."""
    sink.write(encode(recording.header))
    for snapshot in recording.snapshots:
        sink.write(encode(snapshot))


def encode(line: Header | Snapshot) -> bytes:
    """One line, its newline included."""
    return _ENCODER.encode(line) + b"\n"


def with_signals(snapshot: Snapshot) -> Snapshot:
    """The Snapshot with every signal's state told: those it does not mention are judged by who has a number.

    On all ready pods: Fresh; on some: Partial; on none: Missing.
    """
    unsaid = [name for name in SIGNALS if name not in snapshot.signals]
    if not unsaid:
        return snapshot
    ready = [pod for backend in snapshot.backends.values() for pod in backend.pods.values() if pod.ready]
    told = {name: Signal(state=_presence(ready, _ATTRIBUTES[name])) for name in unsaid}
    return msgspec.structs.replace(snapshot, signals={**snapshot.signals, **told})


def decision_line(decision: Decision) -> bytes:
    """The public JSON of one Decision, its newline included; the same Decision always gives the same bytes."""
    diagnosis = decision.diagnosis
    line = _DecisionLine(
        time=decision.time,
        diagnosis=diagnosis.label,
        pods=diagnosis.pods,
        backends=diagnosis.backends,
        evidence=diagnosis.evidence,
        actions=decision.actions,
        held=decision.held,
    )
    return _ENCODER.encode(line) + b"\n"


class _DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    time: float
    diagnosis: Label
    pods: tuple[str, ...]
    backends: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    actions: tuple[Action, ...]
    held: tuple[Held, ...]


_ENCODER = msgspec.json.Encoder()
_ATTRIBUTES = {field.encode_name: field.name for field in msgspec.structs.fields(Pod)}


def _presence(pods: list[Pod], attribute: str) -> SignalState:
    known = sum(getattr(pod, attribute) is not None for pod in pods)
    if not known:
        return SignalState.Missing
    return SignalState.Fresh if known == len(pods) else SignalState.Partial


def _header(number: int, line: bytes | str) -> Header:
    raw = _json(number, line)
    if isinstance(raw, dict) and "evenload" not in raw:
        raise RecordingError(
            f'line {number}, field evenload: the header is missing; put {{"evenload": "{FORMAT}", "balancer": '
            f'{{...}}, "tick": 10}} before the first Snapshot'
        )
    header = _typed(number, raw, Header)
    if header.evenload != FORMAT:
        raise RecordingError(
            f'line {number}, field evenload: "{header.evenload}" is a format this version cannot read; '
            f'it reads "{FORMAT}"'
        )
    if header.tick <= 0:
        raise RecordingError(f"line {number}, field tick: {header.tick:g} is no interval; give seconds above 0")
    _check_manifest(number, header.balancer)
    return header


def _check_manifest(number: int, manifest: dict[str, object]) -> None:
    if manifest.get("kind", "Balancer") != "Balancer":
        raise RecordingError(
            f'line {number}, field balancer.kind: "{manifest["kind"]}"; give the manifest of a Balancer'
        )
    if "spec" not in manifest:
        raise RecordingError(f"line {number}, field balancer.spec: is missing; give the Balancer's whole manifest")
    spec = _typed(number, manifest["spec"], BalancerSpec, "balancer", "spec")
    try:
        Policy.of(spec)
    except InputError as error:
        raise RecordingError(f"line {number}, field balancer.{error}") from error


def _snapshots(lines: Iterable[tuple[int, bytes | str]]) -> Iterator[Snapshot]:
    latest = float("-inf")
    for number, line in lines:
        snapshot = _typed(number, _json(number, line), Snapshot)
        _check_numbers(number, snapshot)
        if snapshot.time < latest:
            raise RecordingError(
                f"line {number}, field time: {snapshot.time!r} is before the line above ({latest!r}); "
                "put the lines in order of time"
            )
        latest = snapshot.time
        yield snapshot


def _check_numbers(number: int, snapshot: Snapshot) -> None:
    if snapshot.window <= 0:
        raise RecordingError(f"line {number}, field window: {snapshot.window:g} is no window; give seconds above 0")
    for name, backend in snapshot.backends.items():
        if backend.weight < 0:
            raise RecordingError(
                f"line {number}, field backends.{name}.weight: {backend.weight} is negative; weights start at 0"
            )
        for pod_name, pod in backend.pods.items():
            _check_pod(f"line {number}, field backends.{name}.pods.{pod_name}", pod)


def _check_pod(where: str, pod: Pod) -> None:
    for key, attribute in _COUNTED.items():
        value = getattr(pod, attribute)
        if value is not None and value < 0:
            raise RecordingError(f"{where}.{key}: {value:g} is negative; leave the key out where the number is unknown")


_COUNTED = {key: _ATTRIBUTES[key] for key in (*SIGNALS, "cpuLimit", "memoryLimit", "capacity")}


def _json(number: int, line: bytes | str) -> object:
    try:
        return msgspec.json.decode(line)
    except RecursionError as error:
        raise RecordingError(f"line {number}: objects in objects without end; a line is one Snapshot") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        path = next(_not_numbers(line), ())
        raise RecordingError(
            f"{_place(number, *path)}: not JSON ({error}); a line is one JSON object, and a number that is not known "
            "(NaN, Infinity) is left out"
        ) from error


def _not_numbers(line: bytes | str) -> Iterator[tuple[str, ...]]:
    """Paths of the NaN and Infinity literals, which Python's own, laxer reader takes and JSON does not know."""
    try:
        yield from _unbounded(json.loads(line))
    except ValueError:
        return


def _unbounded(raw: object) -> Iterator[tuple[str, ...]]:
    if isinstance(raw, float) and not math.isfinite(raw):
        yield ()
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(raw, dict):
        parts = raw.items()
    elif isinstance(raw, list):
        parts = enumerate(raw)
    yield from ((str(key), *path) for key, part in parts for path in _unbounded(part))


def _typed(number: int, raw: object, kind: type[Line], *root: str) -> Line:
    """`raw` as `kind`; RecordingError where a type is wrong or a key unknown. `root` is the path to `raw`."""
    try:
        value = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise RecordingError(f"{_place(number, *root, *_culprit(raw, kind))}: {_reason(error)}") from error
    for parents, key in _strays(raw, kind):
        advice = _advice(raw, kind, parents, key)
        raise RecordingError(f"{_place(number, *root, *parents, key)}: unknown key; {advice}")
    return value


def _place(number: int, *path: str) -> str:
    return f"line {number}, field {'.'.join(path)}" if path else f"line {number}"


def _reason(error: msgspec.ValidationError) -> str:
    """msgspec's words without its path, which hides the names of pods."""
    text = str(error).split(" - at `")[0]
    return text[0].lower() + text[1:]


# A type as annotations give it: a Struct, dict[str, X], tuple[X, ...], X | None or a plain class.
_Kind = object


def _children(raw: object, kind: _Kind) -> Iterator[tuple[str, object, _Kind]]:
    """The parts of `raw` that `kind` gives a type to: (key, part, its type)."""
    shape = _shape(kind)
    if isinstance(raw, dict) and isinstance(shape, _Each):
        yield from ((key, part, shape.kind) for key, part in raw.items())
    elif isinstance(raw, list) and isinstance(shape, _Each):
        yield from ((str(index), part, shape.kind) for index, part in enumerate(raw))
    elif isinstance(raw, dict) and isinstance(shape, dict):
        yield from ((key, part, shape[key]) for key, part in raw.items() if key in shape)


class _Each(msgspec.Struct, frozen=True):
    """What every item of a map or a list is."""

    kind: _Kind


def _shape(kind: _Kind) -> dict[str, _Kind] | _Each | None:
    """Of a Struct, its keys and their types; of a container, its items' type; else None."""
    origin: object = get_origin(kind)
    if origin is Annotated:
        return _shape(get_args(kind)[0])
    if origin is Union or origin is types.UnionType:
        return _shape(next(part for part in get_args(kind) if part is not type(None)))
    if origin is dict:
        return _Each(get_args(kind)[1])
    if origin is tuple:
        return _Each(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _fields(kind)
    return None


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, _Kind]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _culprit(raw: object, kind: _Kind) -> list[str]:
    """The path to the innermost part of `raw` that its type refuses."""
    for key, part, part_kind in _children(raw, kind):
        try:
            msgspec.convert(part, part_kind)
        except msgspec.ValidationError:
            return [key, *_culprit(part, part_kind)]
    return []


def _strays(raw: object, kind: _Kind, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The keys no field takes, each with the path to its object."""
    shape = _shape(kind)
    if isinstance(raw, dict) and isinstance(shape, dict):
        yield from ((path, key) for key in raw if key not in shape)
    for key, part, part_kind in _children(raw, kind):
        if isinstance(part, dict | list):
            yield from _strays(part, part_kind, (*path, key))


def _advice(raw: object, kind: _Kind, parents: tuple[str, ...], key: str) -> str:
    for parent in parents:
        raw, kind = next((part, found) for name, part, found in _children(raw, kind) if name == parent)
    shape = _shape(kind)
    known = list(shape) if isinstance(shape, dict) else []
    close = difflib.get_close_matches(key, known, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(known)}"
