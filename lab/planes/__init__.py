"""Data planes beside Traefik, put into a lab: `python -m lab up --plane NAME`. One is a file and a row here."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.planes import envoy_gateway
from lab.state import LabState


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """`parts` are built before, `install` puts it into the lab and returns where its Gateway is."""

    name: str
    parts: tuple[str, ...]
    install: Callable[[LabState, Callable[[str], None]], LabState]


PLANES: dict[str, Plane] = {
    plane.name: plane
    for plane in (Plane(name="envoy-gateway", parts=("envoy-gateway", "envoy"), install=envoy_gateway.install),)
}
