"""What the guard says of an update, from the manifests before and after it and the Balancer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evenload.api.v1alpha1 import GUARD_OVERRIDE_ANNOTATION
from evenload.drivers import DRIVERS
from evenload.drivers.base import CLUSTER_DOMAIN, Manifest, Split
from evenload.drivers.metadata import CONTROLLERS, DELIVERY_OWNERS, ROLLOUT_LABEL
from evenload.model.base import Value
from evenload.model.guard import Expected, Mistake, Reference, Rule, mistakes
from evenload.model.spec import DEFAULT_KIND, DesiredType, GuardMode


class Verdict(Value, frozen=True, kw_only=True):
    """What it does about the update: nothing where there are no mistakes, or where the mode is Off."""

    mode: GuardMode
    mistakes: tuple[Mistake, ...] = ()
    sentence: str = ""
    override: str = ""  # the reason given with this very update to let it pass

    @property
    def refused(self) -> bool:
        """Whether the update is not stored."""
        return self.mode is GuardMode.Deny and bool(self.mistakes) and not self.override


UNGUARDED = Verdict(mode=GuardMode.Off)


def verdict(before: Manifest, after: Manifest, balancer: Manifest) -> Verdict:
    """What this Balancer's guard says of bringing the balancer from `before` to `after`, as the API server holds them.

    Nothing where it is about another object, or a canary controller sets the weights.
    """
    spec = balancer["spec"]
    mode, split = GuardMode(spec.get("guard", {}).get("mode", GuardMode.Warn)), _split_of(after, balancer)
    if split is None or mode is GuardMode.Off or any(delivered(each, split) for each in (before, after)):
        return UNGUARDED
    rule_name = spec["targetRef"].get("ruleName", "")
    found = mistakes(rules_of(before, split, rule_name), rules_of(after, split, rule_name), expected(balancer))
    return Verdict(
        mode=mode,
        mistakes=tuple(found),
        sentence=sentence(balancer["metadata"]["name"], found.values()) if found else "",
        override=override(before, after) if found else "",
    )


def sentence(balancer: str, texts: Iterable[str]) -> str:
    """The whole of it: who says so, what is wrong, and the ways out."""
    return f"the guard of Balancer {balancer}: this update {'; '.join(texts)}. {WAYS_OUT}"


WAYS_OUT = (
    f"If it is meant, give the reason in the same update, as annotation {GUARD_OVERRIDE_ANNOTATION} (a new text each "
    "time); or change spec.guard of the Balancer"
)


def _split_of(manifest: Manifest, balancer: Manifest) -> Split | None:
    """Where the weights are, if the Balancer is one of that object; None otherwise."""
    target, metadata = balancer["spec"]["targetRef"], balancer["metadata"]
    kind, namespace = target.get("kind", DEFAULT_KIND), manifest["metadata"].get("namespace", "default")
    about = (kind, target["name"], target.get("namespace", namespace), metadata.get("namespace", "default"))
    if about != (manifest["kind"], manifest["metadata"]["name"], namespace, namespace) or kind not in DRIVERS:
        return None
    return None if "deletionTimestamp" in metadata else DRIVERS[kind].split


def rules_of(manifest: Manifest, split: Split, rule_name: str) -> list[Rule]:
    """The rules that a Balancer looks after, with the Services in them: see drivers/gateway.py."""
    if not split.rules:
        rules = [] if rule_name else [_at(manifest, split.references, [])]
    else:
        named = (rule for rule in _at(manifest, split.rules, []) if not rule_name or _name(rule, split) == rule_name)
        rules = [_at(rule, split.references, []) for rule in named]
    own = manifest["metadata"].get("namespace", "default")
    read = _destinations if split.mesh else _services
    found = [_weighed(rule, split, list(read(rule, own))) for rule in rules]
    split_up = [rule for rule in found if len(rule) > 1]
    return [*split_up] if split_up and not rule_name else [rule for rule in found if rule]


def _name(rule: Mapping[str, Any], split: Split) -> str:
    name: str = rule.get("name", "") if split.named else ""
    return name


def _weighed(rule: list[Any], split: Split, found: list[Reference]) -> list[Reference]:
    return found if split.alone or len(rule) > 1 else [Reference(each.backend, 1) for each in found]


def _services(rule: list[Any], own: str) -> Iterator[Reference]:
    for each in rule:
        if each.get("kind", "Service") == "Service" and each.get("group", "") == "":
            namespace = each.get("namespace", "")
            place = "" if namespace in ("", own) else f"{namespace}/"
            yield Reference(place + each["name"], each.get("weight", 1))


def _destinations(rule: list[Any], own: str) -> Iterator[Reference]:
    for each in rule:
        host = _at(each, ("destination", "host"), "").replace(f".{own}.{CLUSTER_DOMAIN}", "")
        subset = _at(each, ("destination", "subset"), "")
        if "." not in host:
            key = f"{host}/{subset}" if subset else host
            yield Reference(key, each.get("weight", 0))


def _at(manifest: Mapping[str, Any], path: tuple[str, ...], absent: Any) -> Any:
    found: Any = manifest
    for field in path:
        found = found.get(field)
        if found is None:
            return absent
    return found


def delivered(manifest: Manifest, split: Split) -> bool:
    """Whether a canary controller sets these weights, by owner, label, or field manager."""
    metadata = manifest["metadata"]
    if any(owner["kind"] in DELIVERY_OWNERS for owner in metadata.get("ownerReferences", ())):
        return True
    if metadata.get("labels", {}).get(ROLLOUT_LABEL) == "in-progress":
        return True
    return any(
        entry.get("manager", "") in CONTROLLERS
        and f"f:{split.field}" in _at(entry, ("fieldsV1", "f:spec"), {})
        and not entry.get("subresource")
        for entry in metadata.get("managedFields", ())
    )


def expected(balancer: Manifest) -> Expected:
    """What a Balancer says of the shares."""
    spec, desired = balancer["spec"], balancer["spec"].get("desired", {})
    explicit = desired.get("type") == DesiredType.Explicit
    shares = {each["backend"]: each["weight"] for each in desired.get("shares", ())} if explicit else {}
    return Expected(
        shares=shares,
        targets=balancer.get("status", {}).get("targetShares", {}),
        max_share_percent=spec.get("guard", {}).get("maxSharePercent"),
    )


def override(before: Manifest, after: Manifest) -> str:
    """The reason, if it came with this update: one that stood before lets nothing pass."""
    old, new = (
        (each["metadata"].get("annotations") or {}).get(GUARD_OVERRIDE_ANNOTATION, "").strip()
        for each in (before, after)
    )
    return new if new != old else ""
