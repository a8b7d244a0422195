"""Budgets are about pods: what counts for a Balancer, whoever did it, and that nothing resets it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evenload.act.ledger import Ledger, Subject
from evenload.api.values import moment
from evenload.clock import rfc3339
from evenload.model.episode import Disruption
from evenload.model.plan import Purpose, RestartPod, SetWeights

NOW = 1_795_413_600.0
HOUR = 3600.0


def restart(workload: str = "Deployment/a", ago: float = 60.0, **fields: Any) -> dict[str, Any]:
    return {
        "name": f"{ago:g}-restart",
        "action": "RestartPod",
        "state": "Verified",
        "plannedAt": rfc3339(NOW - ago),
        "pod": f"{workload}-1",
        "workload": workload,
        **fields,
    }


def revert(ago: float = 60.0) -> dict[str, Any]:
    return restart(ago=ago) | {"name": "revert", "action": "SetWeights", "purpose": Purpose.Revert.value}


def remediation(*steps: dict[str, Any], balancer: str = "shop", uid: str = "u-shop", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": more.pop("namespace", "shop"),
            "name": more.pop("name", f"{balancer}-1"),
            "resourceVersion": str(more.pop("version", 1)),
            "creationTimestamp": "2026-11-23T05:00:00Z",
        },
        "spec": {
            "balancerRef": {"name": balancer, "uid": uid},
            "diagnosis": {"label": "Failing"},
            **more.pop("spec", {}),
        },
        "status": {"phase": "Succeeded", "steps": list(steps), **more},
    }


def ledger(*manifests: dict[str, Any]) -> Ledger:
    known = Ledger()
    for manifest in manifests:
        known.changed(key_of(manifest), manifest)
    return known


def key_of(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def subject(name: str = "shop", uid: str = "u-shop", *workloads: str, backends: str = "") -> Subject:
    return Subject(
        namespace="shop", name=name, uid=uid, workloads=frozenset(workloads), backends=frozenset(backends.split())
    )


def kinds(known: Ledger, who: Subject, now: float = NOW) -> list[str]:
    return [entry.kind for entry in known.of(who, now)]


def test_a_restart_counts_for_every_balancer_that_has_the_workload_behind_it() -> None:
    known = ledger(remediation(restart("Deployment/a")))
    assert kinds(known, subject("twin", "u-twin", "Deployment/a")) == ["Restart"]
    assert kinds(known, subject("twin", "u-twin", "Deployment/b")) == []


def test_a_balancer_that_was_deleted_and_created_again_has_the_budget_it_had() -> None:
    known = ledger(remediation(restart(), revert(), uid="u-before"))
    assert sorted(kinds(known, subject("shop", "u-after", "Deployment/a"))) == ["Restart", "Revert"]


def test_a_backend_stands_for_its_workload_while_no_pod_is_there() -> None:
    known = ledger(remediation(restart(backend="a")))
    assert kinds(known, subject("twin", "u-twin", backends="a b")) == ["Restart"]


def test_a_restart_of_a_workload_that_is_not_behind_it_any_more_is_still_its_own() -> None:
    known = ledger(remediation(restart("Deployment/gone")))
    assert kinds(known, subject("shop", "u-shop", "Deployment/a")) == ["Restart"]


def test_freezes_are_of_the_balancers_name_and_of_nobody_else() -> None:
    overwritten = [
        revert() | {"name": f"{at}-x", "state": "Overwritten", "manager": "helm", "purpose": "Restore"} for at in "12"
    ]
    known = ledger(
        remediation(revert(), *overwritten, spec={"approval": {"decision": "Denied"}}, closedAt=rfc3339(NOW - 9))
    )
    assert sorted(kinds(known, subject("shop", "u-after"))) == ["Contested", "Denied", "Revert"]
    assert kinds(known, subject("twin", "u-twin", "Deployment/a")) == []


def test_another_namespace_is_another_world() -> None:
    known = ledger(remediation(restart(), namespace="elsewhere"))
    assert kinds(known, subject("shop", "u-shop", "Deployment/a")) == []


def test_what_is_older_than_a_day_counts_no_more() -> None:
    known = ledger(remediation(restart(ago=23.9 * HOUR), restart(ago=24.1 * HOUR)))
    assert kinds(known, subject()) == ["Restart"]
    assert kinds(known, subject(), NOW + HOUR) == []


def test_a_restart_that_is_only_stored_may_have_been_made_and_counts_for_the_others() -> None:
    known = ledger(remediation(restart(state="Planned"), phase="Executing"))
    assert kinds(known, subject("twin", "u-twin", "Deployment/a")) == ["Restart"]
    assert kinds(known, subject("shop", "u-after", "Deployment/a")) == ["Restart"]
    assert kinds(known, subject("shop", "u-shop", "Deployment/a")) == []  # its engine has the step before it


def test_a_restart_that_was_given_up_counts_for_nobody() -> None:
    known = ledger(remediation(restart(state="Abandoned")))
    assert kinds(known, subject("twin", "u-twin", "Deployment/a")) == []


def test_a_restart_under_way_counts_for_the_others_until_it_is_stored_or_not() -> None:
    known = Ledger()
    write = RestartPod(backend="a", pod="a-1", uid="u", workload="Deployment/a", because="")
    other = subject("twin", "u-twin", "Deployment/a")
    with known.under_way(subject(), write, NOW):
        assert kinds(known, other) == ["Restart"]
        assert kinds(known, subject()) == []
    assert kinds(known, other) == []


def test_weights_under_way_are_no_disruption() -> None:
    known = Ledger()
    write = SetWeights(before={"a": 1}, after={"a": 2}, purpose=Purpose.Restore, because="")
    with known.under_way(subject(), write, NOW):
        assert kinds(known, subject("twin", "u-twin", "Deployment/a", backends="a")) == []


def test_one_that_cannot_be_read_hides_no_other() -> None:
    strange = remediation(restart(), name="strange") | {"status": {"steps": "none"}}
    known = ledger(strange, remediation(restart()))
    assert kinds(known, subject()) == ["Restart"]


def test_entries_come_oldest_first() -> None:
    known = ledger(
        remediation(restart(ago=10), name="z"), remediation(restart(ago=30), restart(ago=5), name="a", balancer="twin")
    )
    times = [NOW - entry.time for entry in known.of(subject("shop", "u-shop", "Deployment/a"), NOW)]
    assert [round(each) for each in times] == [30, 10, 5]


WORKLOADS = ["Deployment/a", "Deployment/b"]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from(["shop", "other"]),  # the namespace
        st.none()
        | st.tuples(
            st.sampled_from(["shop", "twin"]),
            st.sampled_from(["u1", "u2"]),
            st.lists(st.tuples(st.sampled_from(WORKLOADS), st.sampled_from(["Planned", "Applied"])), max_size=3),
        ),
        st.booleans(),  # whether somebody asks afterwards
    ),
    max_size=12,
)


@given(CHANGES, st.sampled_from(["shop", "twin"]), st.sampled_from(["u1", "u2"]), st.sets(st.sampled_from(WORKLOADS)))
def test_it_counts_what_a_scan_of_all_remediations_counts(
    changes: list[Any], name: str, uid: str, workloads: set[str]
) -> None:
    known = Ledger()
    there: dict[tuple[str, str], dict[str, Any]] = {}
    who = Subject(namespace="shop", name=name, uid=uid, workloads=frozenset(workloads))
    for version, (remediation_name, namespace, content, asks) in enumerate(changes):
        key = (namespace, remediation_name)
        if content is None:
            there.pop(key, None)
            known.changed(key, None)
        else:
            balancer, its_uid, done = content
            steps = [restart(what, ago=at + 1.0, state=state) for at, (what, state) in enumerate(done)]
            there[key] = remediation(
                *steps, balancer=balancer, uid=its_uid, namespace=namespace, name=remediation_name, version=version
            )
            known.changed(key, there[key])
        if asks:
            known.of(who, NOW)
    assert sorted(known.of(who, NOW), key=repr) == sorted(scanned(there.values(), who), key=repr)


def scanned(manifests: Any, who: Subject) -> list[Disruption]:
    found = []
    for manifest in manifests:
        reference = manifest["spec"]["balancerRef"]
        own = reference["name"] == who.name
        for step in manifest["status"]["steps"] if manifest["metadata"]["namespace"] == who.namespace else ():
            mine = own and reference["uid"] == who.uid
            if (own or step["workload"] in who.workloads) and not (mine and step["state"] == "Planned"):
                at = moment(NOW - float(step["name"].partition("-")[0])).timestamp()
                label: Any = "Failing"
                found.append(
                    Disruption(time=at, kind="Restart", pod=step["pod"], workload=step["workload"], label=label)
                )
    return found


def test_what_is_gone_leaves_nothing_behind() -> None:
    known = Ledger()
    for at in range(1000):
        manifest = remediation(restart(f"Deployment/{at}", backend=f"{at}"), name=f"r{at}", balancer=f"b{at}")
        known.changed(key_of(manifest), manifest)
        if at % 2:
            known.of(subject(), NOW)
        known.changed(key_of(manifest), None)
    sizes = [len(each) for each in (known._unread, known._versions, known._accounts, known._by_mark, known._under_way)]
    assert sizes == [0, 0, 0, 0, 0]
