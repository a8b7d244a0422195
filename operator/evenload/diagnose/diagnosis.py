"""One tick's diagnosis: facts through the table, the memory moved on."""

from __future__ import annotations

from evenload.diagnose import hysteresis, quality, skew
from evenload.diagnose.facts import STEADY_RATIO, Facts
from evenload.diagnose.findings import Finding
from evenload.diagnose.hysteresis import Confirmed, confirm
from evenload.diagnose.memory import Memory
from evenload.diagnose.probation import suspicion
from evenload.diagnose.refuted import refuted
from evenload.diagnose.rules import RULES, Rule
from evenload.model.diagnosis import LOOKS_METRIC, Diagnosis, Evidence, Label
from evenload.model.fleet import some

LOOKS = max(hysteresis.CONFIRMING_LOOKS, hysteresis.SLOW_LOOKS, hysteresis.MILD_HITS)


def diagnose(facts: Facts, memory: Memory) -> Diagnosis:
    """The first rule that matches, with the others that hold beside it. Moves `memory` on by this tick."""
    problem = facts.problem
    memory.heard.listen(facts.snapshot, facts.fleet)
    if problem:
        return _no_data(facts, memory, problem)
    broken_off = memory.refuses(facts.time)
    memory.watch(facts.time, facts.fleet)
    if broken_off:
        return _no_data(facts, memory, broken_off)
    memory.outlook.observe(facts.time, facts.snapshot.window, facts.fleet, facts.policy.max_utilization)
    confirmed = confirm(facts, memory, suspicion(facts))
    memory.levels.learn(facts.time, facts.fleet)
    memory.in_sight.look(facts.time, hysteresis.apart_seconds(facts))
    rule, finding = _first(facts, confirmed)
    few = quality.too_few(facts.snapshot, facts.fleet, facts.policy)
    if few and rule.counted:
        return _no_data(facts, memory, few)
    calm = _calm(facts, rule)
    _learn(facts, memory, calm=calm)
    if rule.calm and memory.in_sight.looks < LOOKS:
        return _too_early(facts, memory, calm=calm)
    return _told(facts, memory, confirmed, rule, finding, calm=calm)


def _first(facts: Facts, confirmed: Confirmed) -> tuple[Rule, Finding]:
    matches = ((rule, rule.test(facts, confirmed)) for rule in RULES)
    return next((rule, finding) for rule, finding in matches if finding is not None)


def _others(facts: Facts, confirmed: Confirmed, primary: Rule) -> tuple[Label, ...]:
    """Labels that hold beside the primary one and that it does not explain."""
    known = primary.explains | {primary.label, Label.Healthy}
    later = (rule for rule in RULES[RULES.index(primary) + 1 :] if rule.label not in known)
    return tuple(dict.fromkeys(rule.label for rule in later if rule.test(facts, confirmed) is not None))


def _no_data(facts: Facts, memory: Memory, because: str) -> Diagnosis:
    since = memory.labelled(Label.NoData, facts.time)
    return Diagnosis(label=Label.NoData, since=since, sentence=f"cannot tell: {because}; nothing is written meanwhile")


def _too_early(facts: Facts, memory: Memory, *, calm: bool) -> Diagnosis:
    """Nothing is found, and nothing could have been: a fault that was there all along is not confirmed so soon."""
    looks = f"{memory.in_sight.looks} of the {LOOKS} looks that it takes to confirm a fault"
    return Diagnosis(
        label=Label.NoData,
        evidence=(Evidence(metric=LOOKS_METRIC, observed=memory.in_sight.looks, expected=LOOKS, sentence=looks),),
        since=memory.labelled(Label.NoData, facts.time, calm=calm),
        sentence=f"too early to tell: only {looks} since this Balancer was last out of sight; nothing is written yet",
    )


def _calm(facts: Facts, rule: Rule) -> bool:
    """Nobody suffers, and nothing is even suspected: only such ticks teach what is usual, and end an incident."""
    alone = facts.skew.seen or some(facts.failing) or some(facts.slow) or some(facts.avoided)
    return rule.calm and not (alone or hysteresis.suffers_together(facts))


def _learn(facts: Facts, memory: Memory, *, calm: bool) -> None:
    memory.baseline.learn_traffic(facts.time, facts.rps)
    if facts.fleet.told_by_backend.all() or facts.rps * STEADY_RATIO >= (memory.rps or 0.0):
        memory.rps = facts.rps  # else whoever is silent took it along: it would come back as a rise
    if calm and facts.clean:
        memory.baseline.learn_health(facts.error_ratio, facts.median_latency)
        memory.spread = skew.learned(memory.spread, facts.skew.spread)


def _told(facts: Facts, memory: Memory, confirmed: Confirmed, rule: Rule, finding: Finding, *, calm: bool) -> Diagnosis:
    healthy = rule.label is Label.Healthy
    return Diagnosis(
        label=rule.label,
        also=() if healthy else _others(facts, confirmed, rule),
        cause=finding.cause,
        manager=finding.manager,
        pods=finding.pods,
        backends=finding.backends,
        evidence=finding.evidence,
        ruled_out=() if healthy else refuted(facts, rule.label),
        since=memory.labelled(rule.label, facts.time, calm=calm),
        sentence=finding.sentence,
    )
