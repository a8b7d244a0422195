"""What the words of the API mean, for the reference pages; a test holds every word to have its meaning here."""

from __future__ import annotations

from collections.abc import Mapping

from evenload.model.decision import HeldReason
from evenload.model.episode import Phase, StepState

HELD: Mapping[HeldReason, str] = {
    HeldReason.ObserveMode: "The mode in force is Observe.",
    HeldReason.AwaitingApproval: "A person must approve the Remediation.",
    HeldReason.Denied: "A person denied it; for an hour.",
    HeldReason.Paused: "`evenload.dev/paused`, `spec.suspend`, or the installation's `paused`.",
    HeldReason.Rollout: "A rollout of a workload behind the route is under way.",
    HeldReason.Autoscaling: "An autoscaler is changing the number of pods.",
    HeldReason.Contested: "Another writer put its weights back twice; for an hour after the last time.",
    HeldReason.CoolDown: "The pod or workload was restarted, or its eviction was refused for long, a short while ago; "
    "or the pod was drained before and could not be evicted: it is not drained again.",
    HeldReason.Budget: "The restarts of this hour are used up.",
    HeldReason.OneAtATime: "Another pod is leaving, or a new one is not ready yet.",
    HeldReason.LastReadyPod: "It would take the last ready pod or weight, or more than `minReadyPercent` allows.",
    HeldReason.Headroom: "The others could not bear the load.",
    HeldReason.Panic: "So much looks bad that taking anything away would make it worse.",
    HeldReason.Frozen: "The data cannot be trusted; or a step was undone a short while ago (10 min, doubling).",
    HeldReason.WriteInterval: "The last write of weights is too recent.",
    HeldReason.NoController: "Nothing would replace the pod.",
    HeldReason.Protected: "The pod says `evenload.dev/do-not-disrupt`, `karpenter.sh/do-not-disrupt` "
    "or that the cluster autoscaler may not evict it.",
    HeldReason.RestartNever: "`spec.restart.when` does not allow it.",
    HeldReason.NotAccepted: "The gateway has not accepted the route as it is.",
    HeldReason.NotPermitted: "It may not read a kind that tells whether pods may be taken away: see `Ready`.",
    HeldReason.ProgressiveDelivery: "A canary controller sets the weights of this route.",
    HeldReason.EmptyBackend: "A backend would have weight and no ready pod.",
    HeldReason.Guard: "`spec.guard` is Deny, and one backend would have more than it allows.",
}

PHASES: Mapping[Phase, str] = {
    Phase.Observed: "Seen; nothing is written.",
    Phase.AwaitingApproval: "Waits for a person.",
    Phase.Executing: "A step is being made.",
    Phase.Verifying: "The steps are made; traffic is judged.",
    Phase.Succeeded: "All is well again. Final.",
    Phase.RolledBack: "A step made things worse, or someone asked, and it was undone. Final.",
    Phase.Failed: "It did not help, or could not be done. Final.",
    Phase.Denied: "A person said no. Final.",
    Phase.Expired: "Ended without a write: the fault passed by itself, nobody approved within a day, or the Balancer "
    "was deleted. Final.",
}

STEPS: Mapping[StepState, str] = {
    StepState.Planned: "Stored, not yet known to be written.",
    StepState.Applied: "Written, and read back.",
    StepState.Verified: "Traffic did what was predicted.",
    StepState.Ineffective: "Traffic did not move.",
    StepState.Reverted: "Made things worse, and was undone.",
    StepState.Overwritten: "Another writer put something else there; `manager` says who.",
    StepState.Abandoned: "Never written, and no longer wanted.",
}
