"""What each diagnosis means and permits, a row a label. Elsewhere there are no lists of labels."""

from __future__ import annotations

from collections.abc import Mapping

from evenload.model.base import Value
from evenload.model.diagnosis import Label


class Row(Value, frozen=True, kw_only=True):
    """The defaults are those of a fault that is answered with weights and, where it lasts, with a restart."""

    meaning: str
    answer: str  # what Evenload does about it
    follow_up: str = ""  # what people can do so that it does not happen again
    fault: bool = True  # a Remediation may be opened for it
    write: bool = True  # weights may be changed while it lasts
    restart: bool = True  # a drain or an eviction may be made while it lasts
    balanced: bool | None = False  # is the traffic as it should be; None: cannot be told
    freezes: str = ""  # why nothing is planned while it lasts, what was begun included
    usual: bool = False  # load and its cost are the usual ones: both may be learnt
    symptom: bool = False  # overload can be the cause of it: a skew explains it
    delays_ramp: bool = False  # a backend that it names gets no more weight yet


LABELS: Mapping[Label, Row] = {
    Label.NoData: Row(
        meaning="Requests or errors are missing, stale, partial or absurd, or too few to prove anything; or, in the "
        "first two ticks after a start or a blind spell, no fault could have been confirmed yet (`TooEarly`)",
        answer="nothing is written",
        follow_up="Mend the metrics first: without fresh signals nothing is diagnosed and nothing is done.",
        fault=False,
        write=False,
        restart=False,
        balanced=None,
        freezes="the data cannot be trusted",
    ),
    Label.BadUpdate: Row(
        meaning="Since an update of the balancer by another writer, which is still on probation, requests fail or are "
        "late that did not before: at the backends that it added or gave more to, or at most pods or before them",
        answer="puts the weights before it back, with nothing for a backend that it added; what is no weight it only "
        "names, with the command that puts it back",
        follow_up="Correct the update before it is made again, and try it with `evenload diff` and the guard first.",
        restart=False,
    ),
    Label.TrafficStopped: Row(
        meaning="Almost nothing arrives, where something usually does",
        answer="says so: look before the balancer",
        follow_up="Find out where the requests stopped: nothing reached the servers, so look before them (DNS, the "
        "gateway).",
        write=False,
        restart=False,
        freezes="no traffic arrives",
    ),
    Label.RolloutInProgress: Row(
        meaning="Pods are coming and going by intention",
        answer="tells what it sees, and holds",
        follow_up="Look at the rollout that was under way: the incident may be of its making.",
        fault=False,
        restart=False,
        balanced=None,
        freezes="a rollout is in progress",
    ),
    Label.LoadBalancerSkew: Row(
        meaning="A backend gets more than its share. `WeightsWrong`: the weights say so; the field manager is named. "
        "`WeightsIgnored`: the weights are right and traffic does not follow. `NotReached`: a ready pod gets next to "
        "nothing while its siblings carry its share. Inside a single Service: `SessionAffinity`, "
        "`LongLivedConnections` (the older a pod, the more it gets), `Locality` (a zone or node gets more than its "
        "pods' share), or `InsideService` where none of these is seen",
        answer="puts wrong weights back in one step; leans against a balancer that ignores them, in small steps, and "
        "goes on saying so while it leans; names who is not reached, or the cause inside a Service with what fixes it; "
        "restarts at most two pods an hour that drown in long-lived connections, and changes nothing else for either",
        follow_up="Alert on the imbalance itself, not only on its errors: the Balancer's Balanced condition tells it "
        "first.",
    ),
    Label.Dependency: Row(
        meaning="Most pods fail or are slow together, with usual traffic",
        answer="nothing; tells people",
        follow_up="Find what all servers share (a database, a cache, an upstream): they went bad together.",
        restart=False,
        freezes="all pods suffer from something they share",
        symptom=True,
    ),
    Label.Surge: Row(
        meaning="Much more traffic than usual, evenly spread",
        answer="advises to scale out; never restarts",
        follow_up="Review capacity and autoscaling limits: all servers were busy at once, so no weights could have "
        "helped.",
        restart=False,
    ),
    Label.Failing: Row(
        meaning="A pod fails with its fair share; or fails so fast that it draws traffic; or a backend with weight has "
        "no ready pod",
        answer="takes traffic off it; restarts it if that does not cure it",
        follow_up="Find out from its logs and metrics why this server failed while its peers did not.",
        symptom=True,
        delays_ramp=True,
    ),
    Label.WarmUp: Row(
        meaning="Only young pods stand out",
        answer="waits",
        follow_up="Give new pods a slow start or a readiness probe that waits until they are warm.",
        fault=False,
        restart=False,
        balanced=True,
        symptom=True,
        delays_ramp=True,
    ),
    Label.Slow: Row(
        meaning="A pod answers far later than its siblings",
        answer="gives it less traffic; names the node where several slow pods share one; restarts a lone one that "
        "stays slow",
        follow_up="Look for what the slow servers share: a node, a zone, a noisy neighbour, a CPU limit.",
        symptom=True,
    ),
    Label.MemoryLeak: Row(
        meaning="A pod's memory grows towards its limit, whatever its traffic, and does not slow down",
        answer="says when it is full; restarts it gently before that, at the quietest time left, where "
        "`spec.restart.when` is `Allowed`",
        follow_up="Fix the leak: a planned restart buys time, nothing else.",
        balanced=True,
        usual=True,
    ),
    Label.Healthy: Row(
        meaning="Everyone gets its share, and answers",
        answer="nothing, and writes nothing",
        fault=False,
        balanced=True,
        usual=True,
    ),
}
