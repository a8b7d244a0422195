"""The audit by the running operator: after a change of the route it says what is wrong, and that it is not any more.

And what a change says of itself to override the guard is kept with it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from evenload.api.v1alpha1 import GUARD_OVERRIDE_ANNOTATION
from evenload.kube.resources import EVENTS
from tests.integration.operator.commands import answer
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.processes import OperatorProcess
from tests.support.town import BACKENDS, Shop, Town

THREE = BACKENDS[:3]
DEADLINE_SECONDS = 120.0
RULE = "route-backend-port-missing"
PORT = "/spec/rules/0/backendRefs/0/port"
SECRET = "hunter2"
REASON = "load test of shop-a, ticket 4711"


async def is_so(shop: Shop, status: str, reason: str) -> bool:
    return await shop.condition("Audited") == (status, reason)


async def events(shop: Shop, reason: str) -> list[dict[str, Any]]:
    found, _ = await shop.client.list(EVENTS, shop.namespace)
    return [each for each in found if each["reason"] == reason and each["regarding"]["kind"] == "Balancer"]


async def findings(operator: OperatorProcess, shop: Shop) -> dict[str, float]:
    """By severity, as the metric has them."""
    _, page = await operator.page("metrics")
    lines = [line for line in page.splitlines() if line.startswith("evenload_audit_findings{")]
    mine = [line for line in lines if f'namespace="{shop.namespace}"' in line]
    return {line.partition('severity="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in mine}


async def set_port(shop: Shop, port: int, manager: str = "helm") -> None:
    await shop.update_route([{"op": "replace", "path": PORT, "value": port}], manager)


async def shown_and_cleared(shop: Shop, operator: OperatorProcess, proxy: ApiProxy, folder: Path) -> None:
    """A bad change becomes a condition, a metric, an Event, and a line of the changelog; its correction ends it."""
    await shop.until(lambda: is_so(shop, "True", "Passed"), seconds=DEADLINE_SECONDS, what="the first audit")
    header = {"name": "Authorization", "value": SECRET}
    hide = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [header]}}
    await shop.update_route(
        [
            {"op": "replace", "path": PORT, "value": 8099},
            {"op": "add", "path": "/spec/rules/0/filters", "value": [hide]},
        ],
        "helm",
    )
    await shop.until(lambda: is_so(shop, "False", "Errors"), seconds=DEADLINE_SECONDS, what="the finding")
    message = await shop.message("Audited")
    assert message.startswith(f"1 error: {RULE} at spec.rules[0].backendRefs[0].port: ")
    assert await findings(operator, shop) == {"error": 1.0, "warning": 0.0, "info": 0.0}
    [event] = await events(shop, "AuditErrors")
    assert (event["type"], event["note"]) == ("Warning", message)
    newest = (await shop.balancer())["status"]["changes"][0]
    assert (newest["manager"], newest["brought"]) == ("helm", [RULE])
    assert SECRET not in json.dumps((await shop.balancer())["status"])
    _, why, _ = await answer(proxy, folder, "why", "shop", "-n", shop.namespace)
    assert f"The audit finds {message} More: evenload audit -n {shop.namespace}" in " ".join(why.split())
    _, listed, _ = await answer(proxy, folder, "status", "-n", shop.namespace)
    assert f"1 error: {RULE}" in " ".join(listed.split())

    await set_port(shop, 80)
    await shop.until(lambda: is_so(shop, "True", "Passed"), seconds=DEADLINE_SECONDS, what="the correction")
    assert await findings(operator, shop) == {"error": 0.0, "warning": 0.0, "info": 0.0}
    assert len(await events(shop, "AuditErrors")) == 1

    await set_port(shop, 8099)
    await shop.until(lambda: _count(shop, "AuditErrors", 2), seconds=DEADLINE_SECONDS, what="the same again")
    assert touched(proxy.writes(), shop) == []


async def unreadable(shop: Shop, operator: OperatorProcess) -> None:
    """What no driver can read is audited all the same, and stops nobody."""
    nothing = [{"name": name, "port": 80, "weight": 0} for name in THREE[:2]]
    rule = {"matches": [{"path": {"value": "/other"}}], "backendRefs": nothing}
    await shop.update_route([{"op": "add", "path": "/spec/rules/-", "value": rule}], "helm")
    await shop.until(lambda: is_so(shop, "False", "Errors"), seconds=DEADLINE_SECONDS, what="the finding")
    assert "route-no-weight at spec.rules[1].backendRefs: " in await shop.message("Audited")
    await shop.until(lambda: _is_unready(shop), seconds=DEADLINE_SECONDS, what="the trouble with it")
    await shop.delete_balancer()
    await shop.until(lambda: _no_series(operator, shop), seconds=DEADLINE_SECONDS, what="the end of its series")


async def suppressed(shop: Shop) -> None:
    """What the route says is meant is no finding."""
    why = f"{RULE}: its Service gets the port next week"
    await shop.update_route(
        [
            {"op": "add", "path": "/metadata/annotations/evenload.dev~1audit-ignore", "value": why},
            {"op": "replace", "path": PORT, "value": 8099},
        ],
        "helm",
    )
    await shop.until(lambda: _changed_by(shop, "helm"), seconds=DEADLINE_SECONDS, what="the change")
    assert await shop.condition("Audited") == ("True", "Passed")
    assert await events(shop, "AuditErrors") == []


async def overridden(shop: Shop, proxy: ApiProxy, folder: Path) -> None:
    """The reason stands in the changelog, in `evenload changes` and in one Event; what stood before counts no more."""
    annotation = GUARD_OVERRIDE_ANNOTATION.replace("/", "~1")
    await shop.update_route(
        [
            {"op": "add", "path": f"/metadata/annotations/{annotation}", "value": REASON},
            {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 251},
        ],
        "argocd-controller",
    )
    await shop.until(lambda: _changed_by(shop, "argocd-controller"), seconds=DEADLINE_SECONDS, what="the change")
    assert (await shop.balancer())["status"]["changes"][0]["override"] == REASON
    await shop.until(lambda: _count(shop, "GuardOverridden", 1), seconds=DEADLINE_SECONDS, what="the Event")
    [event] = await events(shop, "GuardOverridden")
    assert "argocd-controller" in event["note"]
    assert event["note"].endswith(REASON)
    _, listed, _ = await answer(proxy, folder, "changes", "shop", "-n", shop.namespace, "-o", "json")
    assert json.loads(listed)[0]["override"] == REASON

    back = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 250}]
    await shop.update_route(back, "kubectl-edit")
    await shop.until(lambda: _changed_by(shop, "kubectl-edit"), seconds=DEADLINE_SECONDS, what="the next change")
    assert "override" not in (await shop.balancer())["status"]["changes"][0]
    assert len(await events(shop, "GuardOverridden")) == 1


async def test_a_change_is_audited_and_an_override_is_recorded(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shops = await asyncio.gather(*(town.open_shop(backends=THREE) for _ in range(4)))
    for shop in shops:
        shop.fragile = False
    operator = start(*shops)
    await asyncio.gather(*(shop.until(shop.remembers_good_weights, seconds=DEADLINE_SECONDS) for shop in shops))
    wrong, junk, meant, forced = shops
    await side_by_side(
        shown_and_cleared=shown_and_cleared(wrong, operator, proxy, tmp_path),
        unreadable=unreadable(junk, operator),
        suppressed=suppressed(meant),
        overridden=overridden(forced, proxy, tmp_path),
    )


async def _count(shop: Shop, reason: str, wanted: int) -> bool:
    return len(await events(shop, reason)) == wanted


async def _changed_by(shop: Shop, manager: str) -> bool:
    changes = (await shop.balancer())["status"].get("changes", ())
    return bool(changes) and changes[0]["manager"] == manager


async def _is_unready(shop: Shop) -> bool:
    return (await shop.condition("Ready"))[0] == "False"


async def _no_series(operator: OperatorProcess, shop: Shop) -> bool:
    return await findings(operator, shop) == {}
