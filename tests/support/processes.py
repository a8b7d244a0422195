"""Operators as processes of their own: started against a proxy of the API server, killed without warning."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from evenload.errors import InvariantBroken
from lab.control_plane import free_ports
from tests.support.wait import PATIENCE_SECONDS, until

ROOT = Path(__file__).parents[2]
Lease = tuple[float, float]
PATIENT_LEASE: Lease = 90.0, 60.0
"""Its length, and when its holder gives up: whatever a busy machine does, it is not lost."""
SHORT_LEASE: Lease = 40.0, 30.0
"""For who waits until it is dead. The product's own are 15 and 10 s."""
WHOLE = """
import runpy, sys
from tests.support.zygote import hold_lease_for
hold_lease_for(*{lease})
sys.argv[1:] = ["run"]
runpy.run_module("evenload", run_name="__main__", alter_sys=True)
"""
EXIT_SECONDS = 5.0 + 25.0  # what the product promises, and time for a busy machine; what hangs does so for minutes


@dataclass
class OperatorProcess:
    """One replica. `port` serves its pages; `log` is all it said."""

    pid: int
    port: int
    log: Path

    def kill(self) -> None:
        """SIGKILL: no word of farewell, the lease is not handed back."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def alive(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # it ended, before we opened or before we read
            return False
        return state != "Z"

    @property
    def memory_bytes(self) -> int:
        """Resident."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def peak_bytes(self) -> int:
        """Resident, at most, so far."""
        return int(self._status("VmHWM")) * 1024

    @property
    def threads(self) -> int:
        return int(self._status("Threads"))

    def _status(self, name: str) -> str:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    async def ends(self) -> None:
        """Asked to, within the time that the product promises."""
        async with asyncio.timeout(EXIT_SECONDS):
            self.terminate()
            await until(lambda: not self.alive, seconds=EXIT_SECONDS, what="the end of the operator")

    async def gone(self) -> None:
        await until(lambda: not self.alive, what=f"the end of process {self.pid}")

    async def ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        """It has listed the cluster."""
        await until(lambda: self._says_ready(), seconds=seconds, what="readiness of the operator", pause=0.1)

    async def _says_ready(self) -> bool:
        if not self.alive:
            raise InvariantBroken(f"the operator ended: {self.tail()}")
        try:
            return (await self.page("readyz"))[0] == 200
        except aiohttp.ClientError:
            return False

    async def page(self, name: str) -> tuple[int, str]:
        """(status, text) of /healthz, /readyz or /metrics."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{self.port}/{name}") as answer,
        ):
            return answer.status, await answer.text()

    async def metric(self, name: str) -> float:
        """The value of a series without labels (or with these very labels)."""
        (value,) = await self.metrics(name)
        return value

    async def metrics(self, *names: str) -> list[float]:
        """Several, of the same moment; NaN for what is not there."""
        _, text = await self.page("metrics")
        known = {name: value for name, _, value in (line.rpartition(" ") for line in text.splitlines())}
        return [float(known.get(name, "nan")) for name in names]

    async def ticked(self, times: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        """That many more ticks have ended; the deadline grows with them."""
        due = await self._ticks() + times

        async def done() -> bool:
            return await self._ticks() >= due

        await until(done, seconds=max(seconds, 10.0 * times), what=f"{times} more ticks", pause=0.1)

    async def _ticks(self) -> float:
        return await self.metric("evenload_tick_duration_seconds_count")

    def lines(self, event: str) -> list[dict[str, object]]:
        """What it logged under this event name."""
        told = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == event:
                    told.append(entry)
        return told

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""


@dataclass
class Operators:
    """Starts them; `close` ends what still runs."""

    folder: Path
    started: list[OperatorProcess] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _zygote: subprocess.Popen[str] | None = None
    _whole: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self,
        kubeconfig: Path,
        *,
        whole: bool = False,
        clock: Path | None = None,
        lease: Lease = PATIENT_LEASE,
        **settings: object,
    ) -> OperatorProcess:
        """`settings` become EVENLOAD_*. `whole`: as by `python -m evenload run`; else forked from warm imports.

        `clock`: a file that says by how many seconds the wall clock is off. `lease`: its length and when its holder
        gives up, in seconds.
        """
        number, (port,) = next(self._numbers), free_ports(1)
        log = self.folder / f"operator-{number}.log"
        log.touch()
        environment = {"KUBECONFIG": str(kubeconfig), "EVENLOAD_LISTEN_PORT": str(port)}
        environment |= {f"EVENLOAD_{name.upper()}": str(value) for name, value in settings.items()}
        pid = self._run(environment, log, lease) if whole else self._fork(environment, log, clock, lease)
        process = OperatorProcess(pid, port, log)
        self.started.append(process)
        return process

    def _run(self, environment: Mapping[str, str], log: Path, lease: Lease) -> int:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", WHOLE.format(lease=lease)],
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._whole.append(process)
        return process.pid

    def _fork(self, environment: Mapping[str, str], log: Path, clock: Path | None, lease: Lease) -> int:
        if self._zygote is None:
            self._zygote = subprocess.Popen(
                [sys.executable, "-m", "tests.support.zygote"],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        order = {"environment": environment, "log": str(log), "clock": str(clock) if clock else None, "lease": lease}
        print(json.dumps(order), file=self._zygote.stdin, flush=True)
        return int(self._zygote.stdout.readline())

    def close(self) -> None:
        for process in self.started:
            process.kill()
        for each in self._whole:
            each.wait(60)
        if self._zygote is not None:
            assert self._zygote.stdin is not None
            assert self._zygote.stdout is not None
            self._zygote.stdin.close()
            self._zygote.wait(60)
            self._zygote.stdout.close()
