"""From a Remediation and what was recorded beside it to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from evenload.model.decision import Decision
from evenload.model.snapshot import Snapshot
from evenload.report.changes import balancer_of
from evenload.report.client import ClientRecord
from evenload.report.facts import Facts, Sources, facts
from evenload.report.incident import read
from evenload.report.page import html_page, markdown_text


@dataclass(frozen=True, kw_only=True)
class Report:
    """The three views. Each is made when it is first asked for: only `html` needs matplotlib."""

    sources: Sources

    @cached_property
    def facts(self) -> Facts:
        return facts(self.sources)

    @cached_property
    def html(self) -> str:
        """A self-contained page. Raises InputError where matplotlib is not installed."""
        return html_page(self.facts, self.sources)

    @cached_property
    def markdown(self) -> str:
        return markdown_text(self.facts)

    @cached_property
    def data(self) -> dict[str, Any]:
        """Plain JSON types; times in seconds since the epoch, ratios from 0 to 1, absent keys are unknown."""
        data: dict[str, Any] = msgspec.to_builtins(self.facts)
        return data


def build(
    remediation: Mapping[str, Any],
    recording: Sequence[tuple[Snapshot, Decision]] | None = None,
    client: ClientRecord | None = None,
    *,
    alone: ClientRecord | None = None,
    balancer: Mapping[str, Any] | None = None,
    tried: Sequence[str] = (),
) -> Report:
    """The report of one Remediation (its manifest).

    `recording` is its flight recording; `client` what the callers saw, `alone` the same of a second run in which
    Evenload did nothing, for a comparison; `balancer` the manifest of its Balancer, for the changelog and the guard;
    `tried` sentences on what was tried since to prevent another. Raises InputError naming the manifest's field that is
    missing or wrong.
    """
    incident = read(remediation)
    if balancer is not None:
        balancer_of(balancer)
    return Report(sources=Sources(incident, recording or (), client, alone, balancer, tuple(tried)))
