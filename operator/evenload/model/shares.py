"""Explicit shares against the backends that there are. Pure: asked wherever both are known.

A name that is not there, or a backend that is not named, is a mistake and not a share of 0: it would take the traffic
of a backend apart that serves well.
"""

from __future__ import annotations

from collections.abc import Collection

from evenload.model.policy import Policy
from evenload.model.spec import DesiredType

FIELD = "spec.desired.shares"


def shares_problem(policy: Policy, backends: Collection[str], route: str = "the route") -> str | None:
    """What is to be corrected in the shares so that they are of exactly these backends; None where nothing is."""
    if policy.desired is not DesiredType.Explicit:
        return None
    shares = policy.explicit_shares
    unknown, missing = sorted(shares.keys() - set(backends)), sorted(set(backends) - shares.keys())
    complaints = []
    if unknown:
        are = "is not a backend" if len(unknown) == 1 else "are not backends"
        names = ", ".join(f'"{name}"' for name in unknown)
        complaints.append(f"{names} {are} of {route}; its backends are {', '.join(sorted(backends))}")
    if missing:
        complaints.append(f"no share is given for {', '.join(missing)}; name every backend, 0 to send it nothing")
    if not complaints and not any(shares.values()):
        complaints.append("every share is 0; leave at least one backend above 0")
    return f"{FIELD}: {'; '.join(complaints)}" if complaints else None
