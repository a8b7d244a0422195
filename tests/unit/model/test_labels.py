"""The table of labels as a whole: what no single row shows."""

from __future__ import annotations

import pytest

from evenload.model.diagnosis import Label
from evenload.model.labels import LABELS


def test_every_label_has_its_row_in_the_order_of_the_labels() -> None:
    assert list(LABELS) == list(Label)


@pytest.mark.parametrize("label", Label)
def test_where_no_weight_may_be_written_no_pod_may_be_restarted(label: Label) -> None:
    assert LABELS[label].write or not LABELS[label].restart


@pytest.mark.parametrize("label", Label)
def test_what_may_be_learnt_from_is_balanced(label: Label) -> None:
    assert LABELS[label].balanced or not LABELS[label].usual


def test_only_health_needs_nothing_done_afterwards() -> None:
    assert [label for label, row in LABELS.items() if not row.follow_up] == [Label.Healthy]
