"""The chart's roles: put in force for an operator of a test, and compared with what was asked of the API server."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from tests.support.apiproxy import Seen
from tests.support.chart import of_kind, rendered
from tests.support.kubectl import Kubectl
from tests.support.town import Shop

Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def sign_in(shop: Shop) -> tuple[set[Right], str]:
    """The rights of the chart's roles for that namespace alone, put in force there, and the operator's token."""
    kubectl = Kubectl(namespace=shop.namespace)
    manifests = of_kind(
        rendered(f"--set=maxMode=Auto,watchNamespaces={{{shop.namespace}}}", namespace=shop.namespace),
        "ServiceAccount",
        "Role",
        "RoleBinding",
    )
    kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests))
    (account,) = of_kind(manifests, "ServiceAccount")
    bound = {
        binding["roleRef"]["name"]
        for binding in of_kind(manifests, "RoleBinding")
        if any(subject["name"] == account["metadata"]["name"] for subject in binding["subjects"])
    }
    rules = [rule for role in of_kind(manifests, "Role") if role["metadata"]["name"] in bound for rule in role["rules"]]
    rights = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    return rights, kubectl("create", "token", account["metadata"]["name"], "--duration=1h").strip()


def used(requests: Iterable[Seen]) -> set[Right]:
    """What was asked of the API server, as its authorizer sees it."""
    return {_right(seen) for seen in requests if "/namespaces/" in seen.path}


def _right(seen: Seen) -> Right:
    before, _, rest = seen.path.partition("/namespaces/")
    parts = before.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    _, resource, *names = rest.split("/")
    resource = "/".join([resource, *names[1:]])
    reading = "watch" if seen.is_watch else "get" if names else "list"
    return group, resource, VERBS.get(seen.method, reading)
