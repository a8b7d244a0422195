"""Waiting for something to happen: watches of our own kinds say when it is worth looking again.

What they tell is not kept: each look reads afresh, so a change that was missed can mislead nobody for long.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from evenload.cli.cluster import Cluster
from evenload.errors import KubeError
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Resource

TOGETHER_SECONDS: Final = 0.3  # changes that come so close together are one look
LONGEST_SECONDS: Final = 30.0  # what is shown tells how old things are
AGAIN_SECONDS: Final = 2.0  # after a watch that failed


class Watching:
    """Watches from the moment it is made until the process ends. For one caller."""

    def __init__(self, cluster: Cluster, *, everywhere: bool) -> None:
        self._cluster = cluster
        self._everywhere = everywhere
        self._something = threading.Event()
        for resource in (BALANCERS, REMEDIATIONS):
            threading.Thread(target=self._watch, args=(resource,), daemon=True).start()

    def wait(self, longest_seconds: float = LONGEST_SECONDS) -> bool:
        """Until something changed, or so long; whether it did. A broken watch counts: one may have been missed."""
        changed = self._something.wait(longest_seconds)
        if changed:
            time.sleep(TOGETHER_SECONDS)
            self._something.clear()
        return changed

    def _watch(self, resource: Resource) -> None:
        while True:
            try:
                for _ in self._cluster.watch(resource, everywhere=self._everywhere):
                    self._something.set()
            except KubeError:
                time.sleep(AGAIN_SECONDS)
            self._something.set()
