"""Objects of files beside those in the cluster, and what the API server would make of them: a dry run, not a write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from evenload.audit.field import Field
from evenload.cli.audit import AUDITED, files_of
from evenload.cli.cluster import Cluster
from evenload.cli.manifests import Located, located_in
from evenload.drivers import DRIVERS
from evenload.drivers.base import Driver, Split
from evenload.drivers.metadata import CONTROLLERS
from evenload.errors import InputError, InvalidName, NotFound, Refused
from evenload.foresight import Answer, State
from evenload.kube.resources import BALANCERS, Manifest, Resource
from evenload.record.changelog import differences

LOOKED_AT: Final[Mapping[tuple[str, str], Resource]] = {
    (each.group, each.kind): each for each in (*AUDITED, *(driver.resource for driver in DRIVERS.values()), BALANCERS)
}
MANAGER: Final = "kubectl"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
OF_THE_SERVER: Final = frozenset(
    {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", "deletionTimestamp"}
)
"""Fields of metadata that a manifest to be applied does not set."""


class Document(NamedTuple):
    """An object of a kind that is looked at, as it is to be applied."""

    resource: Resource
    namespace: str
    manifest: Manifest
    located: Located

    @property
    def key(self) -> tuple[str, str, str]:
        return self.resource.kind, self.namespace, str(self.manifest["metadata"]["name"])

    @property
    def name(self) -> str:
        kind, namespace, name = self.key
        return f"{kind} {namespace}/{name}"

    @property
    def driver(self) -> Driver | None:
        """Where it has weights."""
        found = DRIVERS.get(self.resource.kind)
        return found if found is not None and found.split is not None else None


def documents_of(files: Iterable[Path], namespace: str) -> tuple[list[Document], Counter[str]]:
    """What is looked at, and how many of other kinds there are. Raises InputError naming file, line and field."""
    found: dict[tuple[str, str, str], Document] = {}
    ignored: Counter[str] = Counter()
    for located in (each for file in files for path in files_of(file) for each in located_in(path)):
        if located.manifest is None:
            continue  # nothing stands between two "---"
        document = _document(located, namespace)
        if isinstance(document, str):
            ignored[document] += 1
            continue
        if twice := found.get(document.key):
            raise InputError(
                f"{place_of(located)}: {document.name} stands in {place_of(twice.located)} already; "
                "apply one of the two: take the other out"
            )
        found[document.key] = document
    if not found and not ignored:
        raise InputError(f"{', '.join(map(str, files))}: holds no object; give manifests in YAML or JSON")
    return list(found.values()), ignored


def _document(located: Located, default: str) -> Document | str:
    """The kind alone where it is not looked at."""
    manifest = located.manifest
    if not isinstance(manifest, dict):
        raise InputError(f"{place_of(located)}: is no object: write fields (apiVersion, kind, metadata ...)")
    version, kind = (_text(located, manifest, field) for field in ("apiVersion", "kind"))
    group, _, of_group = version.rpartition("/")
    resource = LOOKED_AT.get((group, kind))
    if resource is None:
        return kind
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        raise InputError(f"{place_of(located, 'metadata')}: metadata: must have fields (name, namespace)")
    name = _text(located, metadata, "name", "metadata")
    namespace = _text(located, metadata, "namespace", "metadata") if metadata.get("namespace") else default
    try:
        resource.path(namespace, name)
    except InvalidName as error:
        raise InputError(f"{place_of(located, 'metadata')}: metadata: {error}") from error
    for field in ("labels", "annotations"):
        if not isinstance(metadata.get(field), dict | None):
            raise InputError(f"{place_of(located, 'metadata', field)}: metadata.{field}: must have fields of texts")
    kept = {key: value for key, value in metadata.items() if key not in OF_THE_SERVER and value is not None}
    body = {**manifest, "metadata": {**kept, "name": name, "namespace": namespace}}
    body.pop("status", None)
    try:
        json.dumps(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{place_of(located)}: {kind} {name} holds a value that JSON does not have ({error}): a date, say, is text "
            "only in quotes"
        ) from error
    return Document(msgspec.structs.replace(resource, version=of_group), namespace, body, located)


def _text(located: Located, fields: Mapping[str, Any], field: str, within: str = "") -> str:
    value = fields.get(field)
    if isinstance(value, str) and value:
        return value
    keys = (within, field) if within else (field,)
    problem = "is missing" if value is None else f"is {value!r}, which is no name: write a text"
    raise InputError(f"{place_of(located, *keys)}: {'.'.join(keys)} {problem}")


def place_of(located: Located, *keys: str) -> str:
    return f"{located.file}:{located.line(keys)}"


class Change(NamedTuple):
    """An object before and after. `before`: None where it is new. `detail`: the API server's words, where it would not
    take the object or was not asked. `manager`: whose name it is applied with."""

    document: Document
    before: Manifest | None
    after: Manifest
    manager: str
    answer: Answer
    detail: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """JSON Pointers to what differs, weights left out."""
        if self.before is None:
            return ()
        split = self.document.driver.split if self.document.driver else None
        weights = [place for each in (self.before, self.after) if split for place in _weights_at(split, each)]
        return tuple(sorted(differences("", _compared(self.before), _compared(self.after), frozenset(weights))))

    @property
    def state(self) -> State:
        if self.before is None:
            return State.new
        return State.unchanged if _compared(self.before) == _compared(self.after) else State.changed


def _weights_at(split: Split, manifest: Manifest) -> Iterator[str]:
    """JSON Pointers to the weights of all rules."""
    root = Field(manifest)
    for rule in root.at(*split.rules).each() if split.rules else (root,):
        for reference in rule.at(*split.references).each():
            yield "".join(f"/{key}" for key in reference["weight"].keys)


def _compared(manifest: Manifest) -> Manifest:
    """What a person sets, and nothing that the API server keeps beside it."""
    metadata = manifest.get("metadata", {})
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    rest = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    return {**rest, "metadata": {"labels": metadata.get("labels") or {}, "annotations": annotations}}


def rehearsed(cluster: Cluster, document: Document, manager: str | None) -> Change:
    """Raises KubeError where the object as it is cannot be read."""
    before = _live(cluster, document)
    who = manager or _applier(before)
    _, namespace, name = document.key
    try:
        found = cluster.rehearse(document.resource, name, document.manifest, namespace, who)
    except Refused as error:
        answer = Answer.unasked if _could_not_ask(error) else Answer.refused
        return Change(document, before, _merged(before, document.manifest), who, answer, str(error))
    return Change(document, before, _as_owned(before, found.manifest), who, Answer.accepted, warnings=found.warnings)


def _as_owned(before: Manifest | None, after: Manifest) -> Manifest:
    """With the owners of now: a canary controller does not lose the weights because somebody asks what would be."""
    if before is None:
        return after
    owners = {"managedFields": before["metadata"].get("managedFields", [])}
    return {**after, "metadata": {**after["metadata"], **owners}}


def _live(cluster: Cluster, document: Document) -> Manifest | None:
    _, namespace, name = document.key
    try:
        return cluster.read(document.resource.path(namespace, name))
    except NotFound:
        return None  # of a kind that is not served, too: then the dry run says so


def _applier(before: Manifest | None) -> str:
    """Who applied it last: fields that this one set, and that are not in the file any more, go."""
    entries = before["metadata"].get("managedFields", []) if before is not None else []
    applied = [each for each in entries if each.get("operation") == "Apply" and not each.get("subresource")]
    known = [each for each in applied if each.get("manager") not in (*CONTROLLERS, "evenload")]
    newest: Manifest = max(known, key=lambda each: str(each.get("time")), default={})
    return str(newest.get("manager") or MANAGER)


def _could_not_ask(error: Refused) -> bool:
    """Whether this person lacks the right (admission refuses with the same status), or a webhook takes no dry runs."""
    words = str(error)
    return "does not support dry run" in words or (
        error.status == 403 and " cannot " in words and ' resource "' in words
    )


def _merged(old: Any, new: Any) -> Any:
    """About what the API server would make of `new`, without its defaults for what is new."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [_merged(was, now) if _same(was, now) else now for was, now in zip(old, new, strict=True)]
    return new


def _same(old: Any, new: Any) -> bool:
    """Whether two items of lists at one place are one."""
    return isinstance(old, dict) and isinstance(new, dict) and old.get("name") == new.get("name")
