"""The process's own settings: frozen, read once from the environment (the chart sets it), handed down by app.py."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from evenload.errors import InputError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Names match EVENLOAD_<FIELD> in the environment. Seconds unless the name says otherwise."""

    max_mode: str = "Observe"  # Observe | Approve | Auto: the ceiling no Balancer can exceed
    prometheus_url: str = ""
    prometheus_token_file: str = ""
    prometheus_username_file: str = ""
    prometheus_password_file: str = ""
    prometheus_ca_file: str = ""
    prometheus_cert_file: str = ""
    prometheus_key_file: str = ""
    prometheus_headers: str = ""  # a line each, as in X-Scope-OrgID: team-a
    prometheus_headers_folder: str = ""  # a file each, for those that are secret
    prometheus_matchers: str = ""  # a line each, as in cluster="east": of all that is asked there
    prometheus_presets: str = ""  # YAML: presets of the installation's own, by name
    prometheus_allowed_urls: str = ""  # comma-separated prefixes that a Balancer may name besides the one above; *: any
    prometheus_own_queries: bool = False  # whether a Balancer may bring PromQL of its own
    tick_seconds: float = 10.0  # set to the scrape interval
    scrape_seconds: float = 10.0
    query_timeout_seconds: float = 4.0
    watch_namespaces: str = ""  # comma-separated; empty: the whole cluster
    disabled_drivers: str = ""  # comma-separated names; it has no right to read their kinds either
    cross_namespace_backends: bool = False  # look after Services of other namespaces, where a ReferenceGrant allows it
    recordings_mebibytes: int = 128  # flight recordings in closed Remediations, of the installation together
    paused: bool = False  # the installation's global pause
    pod_name: str = ""
    pod_namespace: str = "evenload"
    lease_name: str = "evenload"
    leader_election: bool = True
    listen_port: int = 8080
    log_format: str = "json"  # json | console
    log_level: str = "info"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return _listed(self.watch_namespaces)

    @property
    def allowed_urls(self) -> tuple[str, ...]:
        return _listed(self.prometheus_allowed_urls)

    @property
    def disabled(self) -> tuple[str, ...]:
        return _listed(self.disabled_drivers)

    @property
    def matchers(self) -> tuple[str, ...]:
        return _lines(self.prometheus_matchers)

    @property
    def headers(self) -> tuple[str, ...]:
        return _lines(self.prometheus_headers)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Raises InputError naming the variable that cannot be read."""
        given = os.environ if environment is None else environment
        values = {
            name: given[f"EVENLOAD_{name.upper()}"]
            for name in cls.__struct_fields__
            if given.get(f"EVENLOAD_{name.upper()}", "") != ""
        }
        try:
            return msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"environment variable of the operator: {error} (field names in lower case)") from error


def _lines(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.splitlines() if each.strip())


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())
