from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evenload.api.mergepatch import difference

# No nulls: in a merge patch null means delete, so documents with nulls cannot be said.
documents = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers() | st.text(max_size=2) | st.lists(st.integers(), max_size=2),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    ),
)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


@given(documents, documents)
def test_the_difference_makes_the_new_document_of_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, difference(old, new)) == new


@given(documents)
def test_there_is_no_difference_between_equals(document: dict[str, Any]) -> None:
    assert difference(document, document) == {}
