"""What the audit finds in a balancer's own object, as a condition, an Event and a metric say it. Pure.

Only texts of the rules themselves, and the names of fields: what stands in an object may be secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from evenload.audit.finding import ORDER, Finding, Severity
from evenload.audit.rules import RULES
from evenload.model.base import Value
from evenload.model.wording import printable

MOST_RULES: Final = 5
LONGEST_PATH: Final = 100
ERRORS: Final = "Errors"
WARNINGS: Final = "Warnings"


class Audited(Value, frozen=True, kw_only=True):
    """The findings that the object does not suppress."""

    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> Counter[Severity]:
        return Counter(each.severity for each in self.findings)

    @property
    def broken(self) -> Counter[str]:
        """How often each rule does not hold; what is only worth knowing is left out."""
        return Counter(each.rule for each in self.findings if each.severity is not Severity.info)

    @property
    def verdict(self) -> tuple[bool, str, str]:
        """Whether there is neither an error nor a warning, a reason in a word, and a sentence."""
        count = self.counts
        if not self.broken:
            infos = f"; {_number(count, Severity.info)}" if count[Severity.info] else ""
            return True, "Passed", f"the audit finds no error and no warning{infos}"
        reason = ERRORS if count[Severity.error] else WARNINGS
        counted = ", ".join(_number(count, each) for each in (Severity.error, Severity.warning) if count[each])
        return False, reason, f"{counted}: {'; '.join(self._sentences())}"

    def _sentences(self) -> Iterator[str]:
        """One a rule, the worst first."""
        rules = sorted(self.broken, key=lambda rule: (ORDER[RULES[rule].severity], rule))
        for rule in rules[:MOST_RULES]:
            places = [each.path for each in self.findings if each.rule == rule]
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            yield f"{rule} at {printable(places[0])[:LONGEST_PATH]}{more}: {RULES[rule].meaning}"
        if len(rules) > MOST_RULES:
            yield f"and {len(rules) - MOST_RULES} more rules"


def _number(count: Counter[Severity], severity: Severity) -> str:
    return f"{count[severity]} {severity.value}{'' if count[severity] == 1 else 's'}"
