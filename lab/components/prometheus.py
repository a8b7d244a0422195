"""Prometheus: the containers' CPU and memory from the kubelet, annotated pods, and Traefik, every 5 s."""

import json

from lab.components import Program, command
from lab.layout import KUBELET_PORT, NODE_NAME, PROMETHEUS_PORT, TRAEFIK_METRICS_PORT, Layout

SCRAPE_INTERVAL = "5s"
# A scrape of cAdvisor is 300 KB; these are what anybody asks for.
CONTAINER_SERIES = (
    "container_cpu_usage_seconds_total|container_cpu_cfs_.*|container_memory_working_set_bytes|"
    "container_spec_.*|container_oom_events_total|container_start_time_seconds"
)


def program(layout: Layout) -> Program:
    configuration = layout.etc / "prometheus.yml"
    options = {
        "config.file": configuration,
        "storage.tsdb.path": layout.folder / "prometheus",
        "storage.tsdb.retention.time": "12h",
        "web.listen-address": f"{layout.address}:{PROMETHEUS_PORT}",
        "log.level": "warn",
    }
    return Program(
        name="prometheus",
        argv=command(layout.program("prometheus"), options),
        files={configuration: json.dumps(settings(layout), indent=2)},
    )


def settings(layout: Layout) -> dict[str, object]:
    """The configuration (JSON is YAML)."""
    return {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": "4s"},
        "scrape_configs": [_containers(layout), _pods(layout), _traefik(layout)],
    }


def _containers(layout: Layout) -> dict[str, object]:
    return {
        "job_name": "cadvisor",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        # cAdvisor stamps samples with the time it took them, which makes rates exact. Unless told to, Prometheus would
        # then show a deleted pod's last value for five minutes.
        "track_timestamps_staleness": True,
        "tls_config": {
            "ca_file": str(layout.authority),
            "cert_file": str(layout.certificate("prometheus")),
            "key_file": str(layout.key("prometheus")),
        },
        "static_configs": [{"targets": [f"{layout.address}:{KUBELET_PORT}"], "labels": {"node": NODE_NAME}}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": CONTAINER_SERIES, "action": "keep"},
            # Control groups above the containers: they would count everything twice. The pause container too.
            {"source_labels": ["container"], "regex": "", "action": "drop"},
            {"source_labels": ["container"], "regex": "POD", "action": "drop"},
            {"regex": "name|image", "action": "labeldrop"},
        ],
    }


def _pods(layout: Layout) -> dict[str, object]:
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io_"
    return {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(layout.kubeconfig("prometheus"))}],
        "relabel_configs": [
            {"source_labels": [f"{annotation}scrape"], "regex": "true", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Pending|Succeeded|Failed", "action": "drop"},
            {"source_labels": ["__meta_kubernetes_pod_container_init"], "regex": "true", "action": "drop"},
            {"source_labels": [f"{annotation}path"], "regex": "(.+)", "target_label": "__metrics_path__"},
            {
                "source_labels": ["__meta_kubernetes_pod_ip", f"{annotation}port"],
                "separator": ":",
                "regex": "(.+:.+)",
                "target_label": "__address__",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
            {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"},
        ],
    }


def _traefik(layout: Layout) -> dict[str, object]:
    return {"job_name": "traefik", "static_configs": [{"targets": [f"{layout.address}:{TRAEFIK_METRICS_PORT}"]}]}
