"""Incident reports: what happened, why, what was done and by whom, for people who were asleep and people who were not.

Three views of the same facts: a self-contained HTML page with plots, a Markdown postmortem, and plain data. They are
blameless (they name field managers, which are programs, and ask what would have helped), honest about what is not
known, and deterministic: the same inputs give the same bytes. Names and messages come from the cluster and are not
trusted: the page escapes all of them and loads nothing from anywhere.
"""

from evenload.report.build import Report, build
from evenload.report.client import ClientBin, ClientRecord

__all__ = ["ClientBin", "ClientRecord", "Report", "build"]
