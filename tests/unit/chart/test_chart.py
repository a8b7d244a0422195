"""What the chart renders, for several sets of values."""

from __future__ import annotations

import subprocess
from typing import Any

import msgspec
import pytest
import yaml

from charts.generate import stale
from evenload.cli.questions import Need, needs_of
from evenload.drivers import DRIVERS, name_of
from evenload.drivers.base import Driver, Handle
from evenload.model.spec import Mode
from evenload.presets import PRESETS, with_own
from evenload.settings import Settings
from tests.support.chart import CHART, REPOSITORY, Manifest, helm, helm_template, of_kind, rendered
from tests.support.golden import check_golden

WRITES = {"create", "update", "patch", "delete", "deletecollection", "*"}
OURS = ("evenload.dev", "coordination.k8s.io/leases", "/events", "events.k8s.io/events")

WEIGHTED = {kind: driver for kind, driver in DRIVERS.items() if Handle.Weights in driver.handles}
SETS: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "auto": ("--set=maxMode=Auto,replicaCount=2,prometheus.url=http://prometheus.monitoring:9090",),
    "namespaced": ("--set=maxMode=Approve,watchNamespaces={shop,checkout},approvalPolicy.enabled=false",),
    "everything": (
        "--set=prometheus.allowedUrls={http://prometheus.team-a:9090},prometheus.allowOwnQueries=true",
        "--set=networkPolicy.apiServer.to[0].ipBlock.cidr=10.0.0.1/32",
        "--set=networkPolicy.prometheus.to[0].ipBlock.cidr=203.0.113.7/32",
        "--set=maxMode=Auto,paused=true,replicaCount=2,prometheus.url=https://thanos.example",
        "--set=prometheus.basicAuthSecret.name=b,prometheus.caSecret.name=c,prometheus.clientCertSecret.name=d",
        "--set=prometheus.headersSecret.name=h,prometheus.headers.X-Scope-OrgID=team-a",
        """--set-json=prometheus.matchers=["cluster=\\"east\\"", "a=~\\"b|c\\""]""",
        "--set=networkPolicy.enabled=true,serviceMonitor.enabled=true,podMonitor.enabled=true",
        "--set=serviceMonitor.labels.release=prom,commonLabels.team=edge,priorityClassName=high,image.tag=abc",
        "--set=imagePullSecrets[0].name=pull,podLabels.a=b,podAnnotations.c=d,nodeSelector.disk=ssd",
        "--set=env[0].name=TZ,env[0].value=UTC,tolerations[0].operator=Exists,serviceAccount.annotations.e=f",
        "--set=extraObjects[0].kind=ConfigMap,extraObjects[0].apiVersion=v1,extraObjects[0].metadata.name=more",
    ),
}


def rules_of_the_operator(manifests: list[Manifest]) -> list[dict[str, Any]]:
    """Every rule bound to the operator's ServiceAccount."""
    bindings = of_kind(manifests, "RoleBinding", "ClusterRoleBinding")
    bound = {(binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in bindings}
    roles = [
        role for role in of_kind(manifests, "Role", "ClusterRole") if (role["kind"], role["metadata"]["name"]) in bound
    ]
    return [rule for role in roles for rule in role["rules"]]


def grants(rules: list[dict[str, Any]]) -> set[Need]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def foreign_writes(rules: list[dict[str, Any]]) -> set[Need]:
    """Writes to anything that is not Evenload's own kinds, Events or Leases."""
    writes = {need for need in grants(rules) if need[2] in WRITES}
    return {need for need in writes if not f"{need[0]}/{need[1]}".startswith(OURS)}


@pytest.mark.parametrize("name", SETS)
def test_the_output_is_what_a_person_last_read(name: str) -> None:
    generated = [f"--set={part}.enabled=false" for part in ("crds", "prometheusRule", "guard")]
    check_golden(f"chart/{name}.yaml", helm_template(*generated, *SETS[name]))


def test_helm_finds_nothing_to_complain_about() -> None:
    done = subprocess.run(
        [helm(), "lint", "--strict", "--quiet", str(CHART)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_observe_is_the_default_and_has_no_right_to_write_anything_of_others() -> None:
    assert foreign_writes(rules_of_the_operator(rendered())) == set()


@pytest.mark.parametrize("where", [(), ("--set=watchNamespaces={shop,checkout}",)], ids=["cluster", "namespaces"])
@pytest.mark.parametrize("mode", ["Approve", "Auto"])
def test_above_observe_it_may_patch_routes_and_pods_and_evict_and_no_more(mode: str, where: tuple[str, ...]) -> None:
    rules = rules_of_the_operator(rendered(f"--set=maxMode={mode}", *where))
    assert foreign_writes(rules) == {
        ("", "pods", "patch"),
        ("", "pods/eviction", "create"),
        *((each.resource.group, each.resource.plural, "patch") for each in WEIGHTED.values()),
    }


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_grants_of_references_are_read_only_where_backends_of_other_namespaces_are_allowed(allowed: str) -> None:
    rules = rules_of_the_operator(rendered(f"--set=crossNamespaceBackends={allowed}"))
    verbs = {verb for _, resource, verb in grants(rules) if resource == "referencegrants"}
    assert verbs == ({"list", "watch"} if allowed == "true" else set())
    assert environment(f"--set=crossNamespaceBackends={allowed}")["EVENLOAD_CROSS_NAMESPACE_BACKENDS"] == allowed


@pytest.mark.parametrize("mode", [mode.value for mode in Mode])
def test_services_are_read_and_never_written_in_any_mode(mode: str) -> None:
    granted = grants(rules_of_the_operator(rendered(f"--set=maxMode={mode}")))
    assert {verb for group, resource, verb in granted if (group, resource) == ("", "services")} == {"list", "watch"}


def test_the_driver_of_services_can_be_disabled() -> None:
    assert environment("--set=drivers.service.enabled=false")["EVENLOAD_DISABLED_DRIVERS"] == "service"


@pytest.mark.parametrize("driver", WEIGHTED.values(), ids=WEIGHTED.keys())
def test_a_driver_that_is_disabled_gets_no_rule_and_is_named_to_the_operator(driver: Driver) -> None:
    off = f"--set=maxMode=Auto,drivers.{name_of(driver)}.enabled=false"
    granted = grants(rules_of_the_operator(rendered(off)))
    assert [need for need in granted if need[:2] == (driver.resource.group, driver.resource.plural)] == []
    assert environment(off)["EVENLOAD_DISABLED_DRIVERS"] == name_of(driver)


def test_a_driver_that_the_values_of_an_older_chart_do_not_know_is_disabled() -> None:
    off = "--set=drivers.httproute=null"
    assert "httproute" in environment(off)["EVENLOAD_DISABLED_DRIVERS"].split(",")


def guarded(*options: str) -> dict[str, str]:
    """Policies of the guard, and the resource of each."""
    policies = of_kind(rendered(*options), "ValidatingAdmissionPolicy")
    found = {
        policy["metadata"]["name"]: policy["spec"]["matchConstraints"]["resourceRules"][0]["resources"]
        for policy in policies
    }
    return {name: resource for name, (resource,) in found.items() if "-guard-" in name}


def test_the_guard_of_each_kind_with_weights_has_a_policy_that_warns_and_one_that_denies() -> None:
    assert guarded() == {
        f"evenload-guard-{name_of(driver)}-{mode}": driver.resource.plural
        for driver in WEIGHTED.values()
        for mode in ("warn", "deny")
    }


@pytest.mark.parametrize("off", ["guard.enabled=false", "guard=null"])
def test_the_guard_can_be_left_out_and_is_where_the_values_are_of_an_older_chart(off: str) -> None:
    assert guarded(f"--set={off}") == {}


def test_the_guard_of_a_driver_that_is_disabled_is_left_out() -> None:
    weighted = {driver.resource.plural for driver in DRIVERS.values() if driver.split is not None}
    assert "httproutes" in weighted
    assert set(guarded("--set=drivers.httproute.enabled=false").values()) == weighted - {"httproutes"}


def test_an_error_in_the_guard_and_a_missing_balancer_let_the_update_pass() -> None:
    manifests = rendered("--show-only=templates/guard.yaml")
    assert {each["spec"]["failurePolicy"] for each in of_kind(manifests, "ValidatingAdmissionPolicy")} == {"Ignore"}
    for binding in of_kind(manifests, "ValidatingAdmissionPolicyBinding"):
        assert binding["spec"]["paramRef"]["parameterNotFoundAction"] == "Allow"
        assert binding["spec"]["validationActions"][0].lower() == binding["metadata"]["name"].rpartition("-")[2]


def test_what_the_chart_says_of_drivers_is_generated() -> None:
    assert stale() == [], "run `python -m charts.generate`"


@pytest.mark.parametrize("mode", [mode.value for mode in Mode])
def test_the_rules_hold_what_the_check_command_asks_for(mode: str) -> None:
    needs = set(needs_of(mode, DRIVERS.values(), foreign=False))
    assert needs <= grants(rules_of_the_operator(rendered(f"--set=maxMode={mode}")))


def test_no_role_has_a_wildcard_and_the_operator_cannot_approve() -> None:
    for options in SETS.values():
        manifests = rendered(*options)
        rules = [rule for role in of_kind(manifests, "Role", "ClusterRole") for rule in role["rules"]]
        assert [need for need in grants(rules) if "*" in need] == []
        assert [need for need in grants(rules_of_the_operator(manifests)) if need[2] == "approve"] == []


def test_with_named_namespaces_the_operator_gets_roles_there_and_nothing_cluster_wide() -> None:
    manifests = rendered(*SETS["namespaced"])
    assert of_kind(manifests, "ClusterRoleBinding") == []
    bound_in = {binding["metadata"]["namespace"] for binding in of_kind(manifests, "RoleBinding")}
    assert bound_in == {"shop", "checkout", "evenload"}


def test_the_pods_are_of_the_restricted_profile() -> None:
    manifests = rendered()
    specs = [manifest["spec"] for manifest in of_kind(manifests, "Pod")]
    specs += [manifest["spec"]["template"]["spec"] for manifest in of_kind(manifests, "Deployment")]
    assert len(specs) == 2
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def environment(*options: str) -> dict[str, str]:
    (deployment,) = of_kind(rendered(*options), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "from the pod") for each in container["env"]}


def test_every_setting_of_the_process_is_set_by_the_chart_and_no_other() -> None:
    secrets = ("tokenSecret", "basicAuthSecret", "caSecret", "clientCertSecret", "headersSecret")
    everything = ",".join(f"prometheus.{each}.name=x" for each in secrets)
    variables = environment(
        f"--set={everything},prometheus.headers.a=b,prometheus.matchers={{c}},prometheus.presets.d.title=e"
    )
    given = {name for name in variables if name.startswith("EVENLOAD_")}
    assert given == {f"EVENLOAD_{name.upper()}" for name in Settings.__struct_fields__}


def test_the_process_reads_the_values_as_they_were_meant() -> None:
    variables = environment(
        "--set=maxMode=Auto,paused=true,watchNamespaces={a,b},tickSeconds=5,prometheus.url=http://p:1",
        "--set=prometheus.allowedUrls={http://a:1,http://b/c},prometheus.allowOwnQueries=true",
        "--set=prometheus.headers.X-Scope-OrgID=a|b,prometheus.headers.X-Source=evenload",
        """--set-json=prometheus.matchers=["cluster=\\"east\\"", "a=~\\"b,c\\""]""",
        f"--set-json=prometheus.presets={msgspec.json.encode({'house': PRESETS['micrometer']}).decode()}",
    )
    settings = Settings.from_environment(variables)
    assert with_own(settings.prometheus_presets)["house"] == msgspec.structs.replace(
        PRESETS["micrometer"], name="house"
    )
    assert settings.headers == ("X-Scope-OrgID: a|b", "X-Source: evenload")
    assert settings.matchers == ('cluster="east"', 'a=~"b,c"')
    assert (settings.max_mode, settings.paused, settings.namespaces) == ("Auto", True, ("a", "b"))
    assert (settings.tick_seconds, settings.prometheus_url, settings.leader_election) == (5.0, "http://p:1", True)
    assert (settings.allowed_urls, settings.prometheus_own_queries) == (("http://a:1", "http://b/c"), True)


def test_by_default_balancers_may_name_no_address_and_bring_no_query() -> None:
    settings = Settings.from_environment(environment())
    assert (settings.allowed_urls, settings.prometheus_own_queries) == ((), False)


def test_kopf_finds_a_name_for_its_user() -> None:
    assert environment()["USER"] == "evenload"


def test_the_service_and_the_budget_select_the_operator_and_not_the_test_pod() -> None:
    manifests = rendered("--set=replicaCount=2")
    (deployment,), (service,), (budget,), (check,) = (
        of_kind(manifests, kind) for kind in ("Deployment", "Service", "PodDisruptionBudget", "Pod")
    )
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for selector in (service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels
        assert not selector.items() <= check["metadata"]["labels"].items()


def test_one_replica_has_no_budget_that_would_block_a_node_drain() -> None:
    assert of_kind(rendered(), "PodDisruptionBudget") == []


API_SERVER = "--set=networkPolicy.enabled=true,networkPolicy.apiServer.to[0].ipBlock.cidr=10.0.0.1/32"


def egress(*options: str) -> list[tuple[Any, set[int]]]:
    """Peers and ports of each rule."""
    (policy,) = of_kind(rendered(API_SERVER, *options), "NetworkPolicy")
    return [(rule.get("to"), {each["port"] for each in rule["ports"]}) for rule in policy["spec"]["egress"]]


NAMES = (None, {53})
IN_MONITORING = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def api_server(*ports: int) -> tuple[Any, set[int]]:
    return ([{"ipBlock": {"cidr": "10.0.0.1/32"}}], set(ports))


@pytest.mark.parametrize(
    ("url", "peers", "port"),
    [
        ("http://prometheus.monitoring:9090", IN_MONITORING, 9090),
        ("https://thanos.monitoring.svc", IN_MONITORING, 443),
        ("http://prometheus.monitoring.svc.cluster.local:9090/prefix", IN_MONITORING, 9090),
        ("http://prometheus/prefix", [{"podSelector": {}}], 80),
        ("http://10.1.2.3:9090", [{"ipBlock": {"cidr": "10.1.2.3/32"}}], 9090),
    ],
)
def test_the_network_policy_lets_it_reach_prometheus_and_nothing_else(url: str, peers: Any, port: int) -> None:
    assert egress(f"--set=prometheus.url={url}") == [NAMES, api_server(443, 6443), (peers, {port})]


def test_the_network_policy_lets_it_reach_what_balancers_may_name() -> None:
    rules = egress("--set=prometheus.url=http://p:1,prometheus.allowedUrls={http://prometheus.monitoring:9090}")
    assert rules[2:] == [([{"podSelector": {}}], {1}), (IN_MONITORING, {9090})]


def test_the_network_policy_takes_other_ports_and_peers() -> None:
    rules = egress(
        "--set=prometheus.url=https://thanos.eu.example,networkPolicy.apiServer.ports={8443}",
        "--set=networkPolicy.prometheus.ports={10902},networkPolicy.prometheus.to[0].ipBlock.cidr=203.0.113.7/32",
    )
    assert rules == [NAMES, api_server(8443), ([{"ipBlock": {"cidr": "203.0.113.7/32"}}], {10902})]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set=networkPolicy.enabled=true",), "networkPolicy.apiServer.to"),
        ((API_SERVER, "--set=prometheus.url=https://thanos.eu.example"), "networkPolicy.prometheus.to"),
    ],
)
def test_a_network_policy_that_cannot_name_its_peers_is_refused(options: tuple[str, ...], words: str) -> None:
    done = subprocess.run(
        [helm(), "template", "e", str(CHART), *options], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_monitors_keep_our_namespace_label(kind: str) -> None:
    (monitor,) = of_kind(rendered("--set=serviceMonitor.enabled=true,podMonitor.enabled=true"), kind)
    endpoints = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
    assert [endpoint["honorLabels"] for endpoint in endpoints] == [True]


def test_the_crds_are_kept_on_uninstall_unless_told_otherwise() -> None:
    def annotations(*options: str) -> list[dict[str, str]]:
        return [
            crd["metadata"].get("annotations", {}) for crd in of_kind(rendered(*options), "CustomResourceDefinition")
        ]

    assert annotations() == [{"helm.sh/resource-policy": "keep"}] * 2
    assert annotations("--set=crds.keep=false") == [{}, {}]
    assert annotations("--set=crds.enabled=false") == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("maxMode=auto", "/maxMode"),
        ("maxmode=Auto", "maxmode"),
        ("prometheus.url=prometheus:9090", "/prometheus/url"),
        ("prometheus.url=http://me:s3cret@prometheus:9090", "/prometheus/url"),
        ("prometheus.allowedUrls={prometheus}", "/prometheus/allowedUrls"),
        ("replicaCount=-1", "/replicaCount"),
        ("tickSeconds=0", "/tickSeconds"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(wrong: str, words: str) -> None:
    done = subprocess.run(
        [helm(), "template", "e", str(CHART), f"--set={wrong}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert words in done.stderr


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    del schema["properties"]["global"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert leaves(values, schema) == []


def leaves(values: Manifest, schema: Manifest, path: str = "") -> list[str]:
    """The paths that are in one of them only."""
    properties = schema.get("properties")
    if properties is None:
        return []
    odd = [f"{path}.{name}" for name in values.keys() ^ properties.keys()]
    for name in values.keys() & properties.keys():
        if isinstance(values[name], dict):
            odd += leaves(values[name], properties[name], f"{path}.{name}")
    return odd


def notes(*options: str) -> str:
    text = subprocess.run(
        [helm(), "install", "evenload", str(CHART), "--dry-run=client", "--namespace=evenload", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    return text.split("NOTES:")[1]


def test_the_notes_tell_the_mode_the_next_command_and_what_is_amiss() -> None:
    words = notes()
    assert "Mode: Observe" in words
    assert "kubectl get balancers" in words
    assert "prometheus.url is empty" in words
    warned = notes("--set=maxMode=Auto,paused=true,replicaCount=2,leaderElection=false,approvalPolicy.enabled=false")
    for word in ("PAUSED", "without leader election", "approve in anyone's name"):
        assert word in warned


def test_the_plain_manifests_are_the_chart_with_its_defaults() -> None:
    from manifests import generate

    assert generate.main(["--check"]) == 0, "run `python -m manifests.generate`"
    plain = [each for each in yaml.safe_load_all((REPOSITORY / "manifests/install.yaml").read_text()) if each]
    chart = [each for each in rendered() if each["kind"] != "Pod"]
    assert [each for each in plain if each["kind"] != "Namespace"] == chart


def test_kubectl_apply_takes_every_yaml_of_the_folder() -> None:
    files = [path.name for path in (REPOSITORY / "manifests").iterdir() if path.suffix in {".yaml", ".yml", ".json"}]
    assert files == ["install.yaml"], "`kubectl apply -f manifests/` would take the others too"
