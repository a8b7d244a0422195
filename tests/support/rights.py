"""The chart's roles: put in force for an operator of a test, and compared with what was asked of the API server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evenload.errors import Conflict
from evenload.kube.client import Client
from evenload.kube.resources import Manifest, Resource
from lab import state
from tests.support.chart import of_kind, rendered
from tests.support.kubectl import Kubectl
from tests.support.namespaces import SERVICE_ACCOUNTS
from tests.support.town import Shop

Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""

CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

UNDER_TEST = "evenload-under-test"
TOKEN_SECONDS = 4 * 3600  # longer than any run
_tokens: dict[str, str] = {}


class Asked(NamedTuple):
    """A request as the API server's audit log has it."""

    right: Right
    allowed: bool
    text: str  # verb and path


def sign_in(shop: Shop, *values: str) -> tuple[set[Right], str]:
    """The rights of the chart's roles for that namespace alone, put in force there, and the operator's token."""
    kubectl = Kubectl(namespace=shop.namespace)
    manifests = of_kind(
        rendered(f"--set=maxMode=Auto,watchNamespaces={{{shop.namespace}}}", *values, namespace=shop.namespace),
        "ServiceAccount",
        "Role",
        "RoleBinding",
    )
    kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests))
    return set(rights(rules_of(manifests))), kubectl("create", "token", account(manifests), "--duration=1h").strip()


async def token_of_all_namespaces(client: Client) -> str:
    """The token of an account that has the rights of the chart with everything switched on, wherever a test works."""
    url = client.connection.url
    if url not in _tokens:
        manifests = rendered("--set=maxMode=Auto,crossNamespaceBackends=true")
        meta = {"metadata": {"name": UNDER_TEST}}
        role = {"apiGroup": CLUSTER_ROLES.group, "kind": CLUSTER_ROLES.kind, "name": UNDER_TEST}
        subject = {"kind": "ServiceAccount", "name": UNDER_TEST, "namespace": "default"}
        with contextlib.suppress(Conflict):  # another worker of this run was first
            await client.create(CLUSTER_ROLES, None, meta | {"rules": widened(rules_of(manifests))})
        with contextlib.suppress(Conflict):
            await client.create(BINDINGS, None, meta | {"roleRef": role, "subjects": [subject]})
        with contextlib.suppress(Conflict):
            await client.create(SERVICE_ACCOUNTS, "default", meta)
        token = Resource("", "v1", f"serviceaccounts/{UNDER_TEST}/token", "TokenRequest")
        asked = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        _tokens[url] = (await client.create(token, "default", asked))["status"]["token"]
    return _tokens[url]


def widened(rules: list[Manifest]) -> list[Manifest]:
    """Without names of objects: the Leases of tests have other ones."""
    return [{key: value for key, value in rule.items() if key != "resourceNames"} for rule in rules]


def account(manifests: list[Manifest]) -> str:
    """The name of the operator's."""
    (found,) = of_kind(manifests, "ServiceAccount")
    return str(found["metadata"]["name"])


def rules_of(manifests: list[Manifest]) -> list[Manifest]:
    """Of all roles that are bound to the operator's account."""
    bound = {
        binding["roleRef"]["name"]
        for binding in of_kind(manifests, "RoleBinding", "ClusterRoleBinding")
        if any(subject["name"] == account(manifests) for subject in binding["subjects"])
    }
    roles = of_kind(manifests, "Role", "ClusterRole")
    return [rule for role in roles if role["metadata"]["name"] in bound for rule in role["rules"]]


def rights(rules: list[Manifest]) -> Iterator[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


def audited(user: str) -> list[Asked]:
    """What that user asked of the lab's API server so far. AssertionError where it keeps no account of it."""
    log = state.load().audit_log
    assert log is not None, "the lab's API server keeps an audit log; another cluster's is not read"
    entries = (json.loads(line) for line in whole_lines(log) if f'"{user}"' in line)
    return [_asked(entry) for entry in entries if "objectRef" in entry]


def whole_lines(log: Path) -> list[str]:
    """Of a file that is being written: what stands after the last line's end is half an entry."""
    return log.read_text().split("\n")[:-1]


def _asked(entry: Any) -> Asked:
    where = entry["objectRef"]
    resource = "/".join(filter(None, (where["resource"], where.get("subresource"))))
    decision = entry.get("annotations", {}).get("authorization.k8s.io/decision")
    right = where.get("apiGroup", ""), resource, entry["verb"]
    return Asked(right, decision == "allow", f"{entry['verb']} {entry['requestURI']}")
