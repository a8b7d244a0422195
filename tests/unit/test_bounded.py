"""What is alive bounds the memory: after any number of objects that came and went, all is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from evenload.act.ledger import Subject
from evenload.drivers.base import BalancerView, Place, RulePlace
from evenload.kube.reflector import Reflector
from evenload.model.snapshot import RouteWrite
from evenload.observe.cluster import ClusterView
from evenload.ownership import Ownership
from evenload.record.journal import Journal
from evenload.record.metrics import Metrics
from evenload.store import MOST_GONE, Store, Target
from tests.unit.record.scenes import facts, healthy, snapshot

CYCLES = MOST_GONE + 2_000  # one entry left behind in a hundred cycles shows, and what is bounded has reached its bound


def sizes(holder: object, seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """Every container that hangs on `holder`'s attributes, with its length."""
    seen = set() if seen is None else seen
    for name, value in getattr(holder, "__dict__", {}).items():
        if id(value) in seen or isinstance(value, str | bytes | tuple | frozenset):
            continue
        seen.add(id(value))
        if isinstance(value, dict | list | set):
            yield f"{type(holder).__name__}.{name}", len(value)
        elif type(value).__module__.startswith("evenload."):
            yield from sizes(value, seen)


def total(holder: object) -> int:
    return sum(length for _, length in sizes(holder))


def manifest(name: str, version: int, **spec: Any) -> dict[str, Any]:
    metadata = {
        "namespace": f"ns-{name}",
        "name": name,
        "uid": name,
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": "2026-11-23T05:00:00Z",
    }
    return {"metadata": metadata, "spec": spec}


def view_of(namespace: str, name: str) -> BalancerView:
    return BalancerView(
        kind="HTTPRoute",
        namespace=namespace,
        name=name,
        uid="r",
        resource_version="1",
        generation=1,
        weights={name: 1},
        services={name: Place(namespace=namespace, name=name)},
        rules=(RulePlace(index=0),),
    )


STEP = {
    "name": "1-restart",
    "action": "RestartPod",
    "state": "Applied",
    "plannedAt": "2026-11-23T05:00:00Z",
    "workload": "Deployment/a",
}


def test_our_own_objects_come_and_go_without_a_trace() -> None:
    store = Store()
    contenders = lambda view: store.balancers.group(Target(view.namespace, view.kind, view.name))  # noqa: E731
    ownership = Ownership(contenders, lambda balancer: None)
    before = total(store) + total(ownership)
    for at in range(CYCLES):
        name = f"b{at}"
        balancer = manifest(name, 2 * at, targetRef={"name": name})
        store.balancers.put(balancer)
        remediation = manifest(name, 2 * at, balancerRef={"name": name}, diagnosis={"label": "Failing"})
        store.remediations.put(remediation)
        if at % 20 == 0:
            remediation["status"] = {"phase": "Succeeded", "steps": [STEP]}
            store.ledger.of(Subject(namespace=f"ns-{name}", name=name, uid=name), 1_795_413_600.0)
        assert ownership.taken(balancer, view_of(f"ns-{name}", name), turn=at) is None
        store.balancers.remove(manifest(name, 2 * at + 1, targetRef={"name": name}))
        store.remediations.remove(manifest(name, 2 * at + 1, balancerRef={"name": name}))
    assert len(store.balancers._gone) == len(store.remediations._gone) == MOST_GONE
    for objects in (store.balancers, store.remediations):
        objects.sweep([], 2 * CYCLES)
    ownership.taken(manifest("x", 1), view_of("x", "x"), turn=CYCLES)  # of one tick it remembers one route
    assert total(store) + total(ownership) == before + 1


def told(reflector: Reflector[Any], key: tuple[str, str], text: str | None) -> None:
    reflector.store(key, None if text is None else reflector.decode(msgspec.Raw(text.encode())))


def test_the_clusters_objects_come_and_go_without_a_trace() -> None:
    cluster = ClusterView(None)  # type: ignore[arg-type]  # nothing is watched: the test tells
    routes = cluster._balancers["HTTPRoute"]
    for reflector in cluster._reflectors():
        for stream in reflector._streams:
            stream.listed.set()
    before = total(cluster)
    for at in range(CYCLES // 4):
        name = f"s{at}"
        key, head = (name, name), f'"name": "{name}", "namespace": "{name}"'
        told(cluster._services, key, f'{{"metadata": {{{head}}}}}')
        labels = f'"labels": {{"kubernetes.io/service-name": "{name}"}}'
        endpoints = ", ".join(f'{{"targetRef": {{"kind": "Pod", "name": "{pod}"}}}}' for pod in (f"p{at}", "none"))
        told(cluster._slices, key, f'{{"metadata": {{{head}, {labels}}}, "endpoints": [{endpoints}]}}')
        target = f'"spec": {{"scaleTargetRef": {{"kind": "Deployment", "name": "{name}"}}}}'
        told(cluster._hpas, key, f'{{"metadata": {{{head}}}, {target}}}')
        if at % 10 == 0:
            pod = (
                f'{{"metadata": {{"name": "p{at}", "namespace": "{name}", "uid": "u"}}, "spec": {{}}, "status": {{}}}}'
            )
            told(cluster._pods, (name, f"p{at}"), pod)
        for rules in ("[]", "[{}]"):
            told(routes, key, f'{{"metadata": {{{head}}}, "spec": {{"rules": {rules}}}}}')
        cluster.fleet(view_of(name, name))
        cluster.fleet(view_of(name, f"never-{at}"))
        order: list[Reflector[Any]] = [cluster._services, cluster._slices, cluster._hpas, routes]
        for each in order if at % 2 else reversed(order):  # whichever goes first
            told(each, key, None)
        if at % 3 == 0:
            cluster.fleet(view_of(name, name))  # somebody still asks
        told(cluster._pods, (name, f"p{at}"), None)
    assert total(cluster) == before


def test_balancers_come_and_go_without_a_series_or_a_memory() -> None:
    metrics = Metrics("0")
    journal = Journal(Silent())
    before = total(metrics), total(journal)
    decision = healthy()
    for at in range(CYCLES // 20):
        write = RouteWrite(manager=f"m{at}", time=float(at))
        for moment in (0.0, 1.0):
            seen = snapshot(last_write=msgspec.structs.replace(write, time=write.time + moment))
            metrics.tell("shop", f"b{at}", facts(decision, snapshot=seen))
        journal.tell("shop", f"b{at}", decision)
        metrics.forget("shop", f"b{at}")
        journal.forget("shop", f"b{at}")
    assert (total(metrics), total(journal)) == before
    assert b"shop" not in metrics.exposition()


class Silent:
    def info(self, event: str, /, **fields: object) -> None:
        """Nobody reads it."""
