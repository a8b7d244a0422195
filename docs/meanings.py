"""What the words of the API mean, for the reference pages; a test holds every word to have its meaning here."""

from __future__ import annotations

from collections.abc import Mapping

from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import Phase, StepState

LABELS: Mapping[Label, tuple[str, str]] = {
    Label.NoData: (
        "Requests or errors are missing, stale, partial or absurd, or too few to prove anything; or, in the first two "
        "ticks after a start or a blind spell, no fault could have been confirmed yet (`TooEarly`)",
        "nothing is written",
    ),
    Label.TrafficStopped: ("Almost nothing arrives, where something usually does", "says so: look before the balancer"),
    Label.RolloutInProgress: ("Pods are coming and going by intention", "tells what it sees, and holds"),
    Label.LoadBalancerSkew: (
        "A backend gets more than its share. `WeightsWrong`: the weights say so; the field manager is named. "
        "`WeightsIgnored`: the weights are right and traffic does not follow. `NotReached`: a ready pod gets next to "
        "nothing while its siblings carry its share",
        "puts wrong weights back in one step; leans against a balancer that ignores them, in small steps, and goes on "
        "saying so while it leans; names who is not reached, and changes nothing for it",
    ),
    Label.Dependency: ("Most pods fail or are slow together, with usual traffic", "nothing; tells people"),
    Label.Surge: ("Much more traffic than usual, evenly spread", "advises to scale out; never restarts"),
    Label.Failing: (
        "A pod fails with its fair share; or fails so fast that it draws traffic; or a backend with weight has no "
        "ready pod",
        "takes traffic off it; restarts it if that does not cure it",
    ),
    Label.WarmUp: ("Only young pods stand out", "waits"),
    Label.Slow: (
        "A pod answers far later than its siblings",
        "gives it less traffic; names the node where several slow pods share one; restarts a lone one that stays slow",
    ),
    Label.MemoryLeak: (
        "A pod's memory grows towards its limit, whatever its traffic, and does not slow down",
        "says when it is full; restarts it gently before that, at the quietest time left, where "
        "`spec.restart.when` is `Allowed`",
    ),
    Label.Healthy: ("Everyone gets its share, and answers", "nothing, and writes nothing"),
}

HELD: Mapping[HeldReason, str] = {
    HeldReason.ObserveMode: "The mode in force is Observe.",
    HeldReason.AwaitingApproval: "A person must approve the Remediation.",
    HeldReason.Denied: "A person denied it; for an hour.",
    HeldReason.Paused: "`evenload.dev/paused`, `spec.suspend`, or the installation's `paused`.",
    HeldReason.Rollout: "A rollout of a workload behind the route is under way.",
    HeldReason.Autoscaling: "An autoscaler is changing the number of pods.",
    HeldReason.Contested: "Another writer put its weights back twice; for an hour after the last time.",
    HeldReason.CoolDown: "The pod or workload was restarted, or its eviction was refused for long, a short while ago.",
    HeldReason.Budget: "The restarts of this hour are used up.",
    HeldReason.OneAtATime: "Another pod is leaving, or a new one is not ready yet.",
    HeldReason.LastReadyPod: "It would take the last ready pod or weight, or more than `minReadyPercent` allows.",
    HeldReason.Headroom: "The others could not bear the load.",
    HeldReason.Panic: "So much looks bad that taking anything away would make it worse.",
    HeldReason.Frozen: "The data cannot be trusted; or a step was undone a short while ago (10 min, doubling).",
    HeldReason.WriteInterval: "The last write of weights is too recent.",
    HeldReason.NoController: "Nothing would replace the pod.",
    HeldReason.Protected: "The pod says `evenload.dev/do-not-disrupt` (or `karpenter.sh/do-not-disrupt`).",
    HeldReason.RestartNever: "`spec.restart.when` does not allow it.",
    HeldReason.NotAccepted: "The gateway has not accepted the route as it is.",
    HeldReason.EmptyBackend: "A backend would have weight and no ready pod.",
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
