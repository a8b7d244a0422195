"""What a person can do about it: for each reason why Evenload holds back, and for each condition that is not as hoped.

A row for every reason there is (a test says so): a reason without a way out is of no use at night.
"""

from __future__ import annotations

from typing import Final

from evenload.api.v1alpha1 import PROTECTING
from evenload.cli.commands import flags
from evenload.model.decision import HeldReason

ON_HELD: Final[dict[HeldReason, str]] = {
    HeldReason.ObserveMode: "It only observes. To let it act: kubectl patch balancer {balancer} -n {namespace}{flags} "
    '--type merge -p \'{{"spec":{{"mode":"Approve"}}}}\' (or Auto); the chart\'s maxMode must allow it too.',
    HeldReason.AwaitingApproval: "Approve or deny it: evenload approve {remediation} -n {namespace}{flags}",
    HeldReason.Denied: "It was denied and nothing is written about this diagnosis for an hour. To be asked again at "
    "once: kubectl delete remediation {remediation} -n {namespace}{flags}",
    HeldReason.Paused: "Let it go on: evenload resume {balancer} -n {namespace}{flags} (if not all is paused).",
    HeldReason.Rollout: "It goes on when the rollout is over: "
    "kubectl rollout status -n {namespace}{flags} of its workload.",
    HeldReason.Autoscaling: "It goes on when the autoscaler is at rest: kubectl get hpa -n {namespace}{flags}",
    HeldReason.Contested: "Another writer keeps putting other weights back, so Evenload has stopped writing. Decide "
    "who owns them. A GitOps tool is to leave them alone: evenload gitops argocd {balancer} -n {namespace}{flags} (or "
    "flux) prints its rules. Else stop the other writer (another installation of Evenload, perhaps), or let Evenload "
    "only observe (spec.mode: Observe).",
    HeldReason.CoolDown: "Nothing to do: it goes on when the cool-down is over (spec.guardrails).",
    HeldReason.Budget: "Nothing to do: it goes on when the budget is free (spec.guardrails.restartsPerHour).",
    HeldReason.OneAtATime: "Nothing to do: another disruption of the route is under way; one at a time.",
    HeldReason.LastReadyPod: "Add a replica: the last ready pod is never taken away.",
    HeldReason.Headroom: "Add capacity: the others could not carry the load (spec.guardrails.maxUtilizationPercent).",
    HeldReason.Panic: "Too many servers look bad for taking any away to help: look at what they share.",
    HeldReason.Frozen: "Writes are frozen after a rollback or without fresh numbers: look at why first.",
    HeldReason.WriteInterval: "Nothing to do: it goes on in a few seconds (spec.guardrails.minWriteInterval).",
    HeldReason.NoController: "Restart or replace the pod by hand: without a controller nothing would bring it back.",
    HeldReason.Protected: "The pod asks not to be disrupted: remove its annotation ("
    f"{' or '.join(f'{name}: {value}' for name, value in PROTECTING.items())}), or restart it by hand.",
    HeldReason.RestartNever: "Restart the pod by hand, or allow restarts: spec.restart.when.",
    HeldReason.NotAccepted: "The gateway has not accepted the route: mend that first (kubectl describe).",
    HeldReason.NotPermitted: "Give Evenload's role the rule that the condition Ready names (status {balancer}).",
    HeldReason.ProgressiveDelivery: "Nothing to do: a canary controller sets these weights.",
    HeldReason.EmptyBackend: "A backend has no ready endpoints: bring up its pods first.",
    HeldReason.Guard: "The guard would refuse it, of Evenload as of anybody: raise spec.guard.maxSharePercent, or set "
    "spec.guard.mode to Warn.",
}


def on_held(sentence: str, *, balancer: str, namespace: str, remediation: str) -> str:
    """The way out of one line of a Remediation's `held` ("Reason: detail"); "" for a reason not known here."""
    word = sentence.partition(":")[0].strip()
    if word not in HeldReason.__members__:
        return ""
    names = {"balancer": balancer, "namespace": namespace, "remediation": remediation, "flags": flags()}
    return ON_HELD[HeldReason(word)].format(**names)
