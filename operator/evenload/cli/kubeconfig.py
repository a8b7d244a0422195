"""A look at a kubeconfig before the library reads it, whose errors for a malformed one name neither line nor field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from evenload.errors import InputError

_LISTS = {"contexts": "context", "clusters": "cluster", "users": "user"}


def check(files: str) -> None:
    """`files` as KUBECONFIG has them. Raises InputError naming file, line or field; what is not there is not looked at.

    Nothing of the file's text is repeated: it may be a secret.
    """
    for name in files.split(os.pathsep):
        path = Path(name).expanduser()
        if path.is_file():
            _check(name, _parsed(name, path))


def _parsed(name: str, path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _wrong(f"{name}{where}", f"it is not YAML ({error.problem or 'it ends too early'})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _wrong(name, "it is not text in UTF-8") from error


def _check(name: str, document: Any) -> None:
    if document is None:
        return
    if not isinstance(document, dict):
        raise _wrong(name, "it holds no fields (apiVersion, clusters, contexts ...)")
    for field, inner in _LISTS.items():
        entries = document.get(field) or []
        if not isinstance(entries, list):
            raise _wrong(name, f"field {field} must be a list")
        for place, entry in enumerate(entries):
            _check_entry(name, f"{field}[{place}]", inner, entry)


def _check_entry(name: str, where: str, inner: str, entry: Any) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise _wrong(name, f"field {where} must have a name")
    content = entry.get(inner)
    if not isinstance(content, dict | None):
        raise _wrong(name, f"field {where}.{inner} must have fields of its own")
    server = (content or {}).get("server")
    if inner == "cluster" and not (isinstance(server, str) and server.startswith(("https://", "http://"))):
        raise _wrong(name, f"field {where}.cluster.server must be an address (https://...)")
    for field in ("cluster", "user", "namespace"):
        if inner == "context" and not isinstance((content or {}).get(field), str | None):
            raise _wrong(name, f"field {where}.context.{field} must be a name")


def _wrong(name: str, problem: str) -> InputError:
    return InputError(
        f"kubeconfig {name}: {problem}. Correct it, or name another file with --kubeconfig or KUBECONFIG; "
        "kubectl reads it with: kubectl config view"
    )
