"""`init`: the Balancer to begin with, made from what the cluster and Prometheus show. Writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from evenload.cli.cluster import Access, connect
from evenload.cli.exits import ExitCode
from evenload.cli.manifests import proposed
from evenload.cli.options import DocumentOutput
from evenload.cli.printing import note, say
from evenload.cli.signing import PrometheusAccess
from evenload.drivers import DRIVERS
from evenload.errors import InputError, SignalsUnavailable
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.policy import seconds
from evenload.model.snapshot import SIGNALS, Pod, SignalState
from evenload.model.spec import Desired, DesiredType, Mode
from evenload.model.wording import listing, number, percent

if TYPE_CHECKING:
    from evenload.history.live import Seen

UNEQUAL_RATIO: Final = 1.25  # of CPU limits: from here on an even share loads servers unevenly
TOLERANCE_RATIO: Final = 1 + Desired().tolerance_percent / 100


class _Part(NamedTuple):
    """Some fields of the spec, and why they are so, a sentence each."""

    fields: dict[str, Any]
    reasons: tuple[str, ...]


def init(
    access: Access,
    source: PrometheusAccess,
    target: Annotated[str, typer.Argument(help="What to look after, as KIND/NAME: HTTPRoute/shop.")],
    name: Annotated[str | None, typer.Option(help="Name of the Balancer; the target's by default.")] = None,
    scrape: Annotated[str, typer.Option(help="The scrape interval of the pods.")] = "10s",
    output: Annotated[DocumentOutput, typer.Option("-o", "--output", help="Output format.")] = DocumentOutput.yaml,
) -> ExitCode:
    """Print the Balancer to begin with, with reasons as comments: `evenload init HTTPRoute/shop | kubectl apply -f -`.

    It looks at the target, its pods and what Prometheus answers for them, and writes nothing. The mode is Observe. Exit
    code 1 where requests or errors are not complete: then nothing would be decided yet.
    """
    if not source.url:
        raise InputError("--prometheus: say where Prometheus is as seen from here: --prometheus http://localhost:9090")
    kind, target_name = _target(target)
    spec: Manifest = {"targetRef": {"kind": kind, "name": target_name}, "mode": Mode.Observe.value}
    manifest = proposed(name or target_name, connect(access).namespace, spec)
    seen = asyncio.run(_read(access, manifest, seconds(scrape, "--scrape"), source))
    if isinstance(seen, str):
        raise SignalsUnavailable(seen)
    parts = [_desired(seen), _signals(seen)]
    for part in parts:
        spec |= part.fields
    if output is DocumentOutput.json:
        print(json.dumps(_bare(manifest), indent=2))
    else:
        _print(manifest, seen, parts)
    missing = [each for each in ("requests", "errors") if seen.snapshot.signals[each].state is not SignalState.Fresh]
    if missing:
        note(f"{listing(missing)}: not complete, so nothing would be decided; the comments say what is missing")
    return ExitCode.Findings if missing else ExitCode.Fine


def _target(text: str) -> tuple[str, str]:
    """Kind and name; kinds as kubectl takes them. Raises InputError."""
    kind, slash, name = text.partition("/")
    spellings = {
        word.lower(): driver.kind for driver in DRIVERS.values() for word in (driver.kind, driver.resource.plural)
    }
    if not slash or not name or kind.lower() not in spellings:
        raise InputError(f'"{text}": write KIND/NAME, as in HTTPRoute/shop; kinds are {", ".join(sorted(DRIVERS))}')
    return spellings[kind.lower()], name


async def _read(access: Access, manifest: Manifest, scrape_seconds: float, prometheus: PrometheusAccess) -> Seen | str:
    from evenload.cli.observing import onlooking

    async with onlooking(access, manifest, scrape_seconds, prometheus, applied=False) as onlooker:
        return await onlooker.read()


def _desired(seen: Seen) -> _Part:
    """Whose share is what: as the weights have it where somebody seems to mean them, else by what pods can bear."""
    backends = seen.snapshot.backends
    weights = {name: backend.weight for name, backend in sorted(backends.items())}
    ready = {name: sum(map(_serves, backend.pods.values())) for name, backend in backends.items()}
    if len(weights) > 1 and _lean(weights, ready):
        shares = [{"backend": name, "weight": weight} for name, weight in weights.items()]
        return _Part(
            {"desired": {"type": DesiredType.Explicit.value, "shares": shares}},
            (
                "The weights are not even now, so they are taken as meant.",
                "If they are not, delete `desired`: then every ready pod should get the same.",
            ),
        )
    limits = [pod.cpu_limit for pod in _pods(seen) if pod.cpu_limit]
    if limits and max(limits) >= UNEQUAL_RATIO * min(limits):
        reason = f"CPU limits of the pods differ ({min(limits):g} to {max(limits):g} cores): shares follow them."
        return _Part({"desired": {"type": DesiredType.ByCapacity.value}}, (reason,))
    return _Part({"desired": {"type": DesiredType.Even.value}}, ("Every ready pod should get the same.",))


def _lean(weights: dict[str, int], ready: dict[str, int]) -> bool:
    """Whether they ask for anything but the same for each ready pod, by more than is tolerated."""
    total, pods = sum(weights.values()), sum(ready.values())
    fair = {name: ready[name] / pods if pods else 1 / len(weights) for name in weights}
    asked = {name: weight / total if total else 0.0 for name, weight in weights.items()}
    return bool(total) and any(
        asked[name] > TOLERANCE_RATIO * fair[name] or asked[name] * TOLERANCE_RATIO < fair[name] for name in weights
    )


def _signals(seen: Seen) -> _Part:
    """The preset that was found, spelt out: from then on nothing depends on looking again."""
    source, found = seen.samples.source, seen.snapshot.signals
    lacking = tuple(
        f"{name}: {found[name].state.value}{f', {found[name].detail}' if found[name].detail else ''}."
        for name in SIGNALS
        if found[name].state is not SignalState.Fresh
    )
    if source.preset is None:
        return _Part(
            {}, ("No preset of metrics answers for these pods yet; it is looked for again on every tick.", *lacking)
        )
    signals: dict[str, Any] = {"preset": source.preset.name}
    if source.code != source.preset.code:
        signals["labels"] = {"code": source.code}
    answered = listing([name for name in SIGNALS if found[name].state is SignalState.Fresh], most=len(SIGNALS))
    reason = f"Its metrics are those of these pods, with the status in the label {source.code}."
    return _Part({"signals": signals}, (reason, *([f"Complete: {answered}."] if answered else []), *lacking))


def _print(manifest: Manifest, seen: Seen, parts: Iterable[_Part]) -> None:
    spec, metadata = manifest["spec"], manifest["metadata"]
    target = spec["targetRef"]
    for sentence in _found(target, seen):
        say(f"# {sentence}")
    say(f"apiVersion: {manifest['apiVersion']}")
    say(f"kind: {manifest['kind']}")
    say(f"metadata: {_flow({'name': metadata['name'], 'namespace': metadata['namespace']})}")
    say("spec:")
    say(f"  targetRef: {_flow(target)}")
    say(f"  mode: {spec['mode']}  # it looks and reports; Approve asks before each write, Auto acts")
    for part in parts:
        for reason in part.reasons:
            say(f"  # {reason}")
        for line in _block(part.fields):
            say(f"  {line}")


def _found(target: Manifest, seen: Seen) -> Iterator[str]:
    """What it is about, and what of it limits Evenload."""
    backends, pods = seen.snapshot.backends, _pods(seen)
    what = f"{len(backends)} {number(backends, 'backend', 'backends')}"
    yield f"{target['kind']} {target['name']} leads to {what} with {len(pods)} {number(pods, 'pod', 'pods')}:"
    total = sum(backend.weight for backend in backends.values())
    for name, backend in sorted(backends.items()):
        share = f", {percent(backend.weight / total)} of the weight" if len(backends) > 1 and total else ""
        workloads = sorted({pod.workload for pod in backend.pods.values() if pod.workload})
        by = f" of {listing(workloads)}" if workloads else ""
        yield f"  {name}: {sum(map(_serves, backend.pods.values()))} of {len(backend.pods)} ready{by}{share}"
    yield from _about_pods(pods)
    yield from seen.limits
    yield from (f"{hold.reason}: {hold.detail}" for hold in seen.snapshot.holds)


def _about_pods(pods: list[Pod]) -> Iterator[str]:
    """What these pods do not allow, or do not tell."""
    facts = (
        ([pod for pod in pods if pod.workload is None], "no controller, and would not be replaced: never restarted"),
        ([pod for pod in pods if pod.protected], "an annotation against being disrupted: never restarted"),
        ([pod for pod in pods if not pod.cpu_limit], "no CPU limit: whether others can bear more is not known"),
        ([pod for pod in pods if not pod.memory_limit], "no memory limit: no leak is watched for"),
    )
    for found, what in facts:
        if found:
            yield f"{len(found)} of {len(pods)} {number(pods, 'pod', 'pods')} {number(found, 'has', 'have')} {what}."


def _pods(seen: Seen) -> list[Pod]:
    return [pod for backend in seen.snapshot.backends.values() for pod in backend.pods.values()]


def _serves(pod: Pod) -> bool:
    return pod.ready and not pod.terminating


def _block(fields: dict[str, Any]) -> list[str]:
    """YAML, a line each."""
    import yaml

    return yaml.safe_dump(fields, sort_keys=False).splitlines() if fields else []


def _flow(fields: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(fields, sort_keys=False, default_flow_style=True, width=10_000)
    return text.strip()


def _bare(manifest: Manifest) -> Manifest:
    """As it would be applied."""
    kept = {key: manifest["metadata"][key] for key in ("name", "namespace")}
    return {**manifest, "apiVersion": BALANCERS.api_version, "metadata": kept}
