"""A shop of four pods behind one plain Service, which can get sick and have no preStop hook. Pure."""

from __future__ import annotations

from lab.shop import plain
from lab.shop.manifests import Manifest
from lab.shop.settings import Settings

PODS = 4
SICK_COST_FACTOR = 8.0
"""A full queue of 17 takes 17 x 0.048 / 0.25 = 3.3 s of a sick pod: so slow is what is in flight; 5.4 s if busy."""


def objects() -> list[Manifest]:
    """All of it but a route, in the order to create it in."""
    made = plain.objects(PODS)
    [deployment] = [each for each in made if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    del container["lifecycle"]
    defaults = Settings()
    changed = {
        "SHOP_COST_CPU_MS": defaults.cost_cpu_ms,
        "SHOP_SICK_REJECTIONS": defaults.sick_rejections,
        "SHOP_SICK_COST_FACTOR": SICK_COST_FACTOR,
    }
    kept = [each for each in container["env"] if each["name"] not in changed]
    container["env"] = [*kept, *({"name": name, "value": str(value)} for name, value in changed.items())]
    return made
