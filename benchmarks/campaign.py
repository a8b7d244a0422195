"""Runs the campaign at length and writes docs/explanation/trust.md from what it did: `make campaign`.

The tests are those of tests/campaign, of which `make test` runs a small sample; here each is tried `--scale` times as
often. Then come those that need a real API server, most of which `make test` leaves to this command. The counts on the
page are what the trials left, never typed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.campaign.conftest import SCALE_VARIABLE, TALLY

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/trust.md"
REAL = [
    f"tests/integration/operator/test_{name}.py" for name in ("late_views", "hostile_matrix", "secrets", "leadership")
]
"""One after the other: they measure times."""

_PAGE = """# What was tried to make it do harm

Evenload may restart production pods while nobody looks. So it is not only tested with what should happen, but with what
should not: views of the cluster that are late or wrong, people who interfere at every moment, and tenants whose objects
nobody would write by hand. This page is written by `make campaign`; `make test` runs a small sample of the same trials.

Each trial runs the whole reconciler with its engine, drivers and client of Prometheus, before an API server in memory,
which is held to the real one by tests. Those marked "real API server" run the operator as a process, under the chart's
own rules; a proxy between both spoils views, repeats secrets in errors, and looks at every write.

## What must hold of every write

Each is compared with what the API server holds at that moment, not with what the operator believes.

- Its step stands as Planned in a Remediation of the same namespace, with these weights or this pod and UID.
- The Balancer of that Remediation exists, has the same UID, and is not being deleted, suspended or paused.
- Its mode permits the write: never in Observe; in Approve only if a person approved or asked for an undo.
- It sets weights and nothing else, none is below 0 or above 1,000,000, and they are not all 0.
- No workload is restarted more often in an hour than `restartsPerHour` says.
- Some other pod of the namespace is ready when one is evicted.

And of every Balancer: within five ticks it is judged, or its status says why not.

## What was tried

| part | trials | ticks | writes looked at | invariants broken |
|---|---:|---:|---:|---:|
{rows}

{passed} of {tests} tests passed, in {minutes} minutes on {cores} cores; `make campaign SCALE={scale}`.

- **Late views** (as Sieve, OSDI '22): the watch of each kind by itself is one or six ticks late, frozen, or shows past
  and present in turns, while a Balancer is suspended, paused, deleted, made again, edited or set to Observe, a person
  denies, a rival writes, or pods are replaced under their names; at any moment of an incident. Afterwards the state is
  right: nothing is written any more, or traffic is even again.
- **Interruptions**: the same happens at the points where a tick, a run or a warm start waits for an answer.
- **Odd objects of a neighbour** (as Acto, SOSP '23): a tenant has any spec that the CRD's schema accepts, and a route
  with foreign namespaces, odd kinds, no rules or many, impossible times and odd managers. Another tenant has an
  incident; everything the API server holds of that one is the same, tick by tick, as if the first did not exist.
- **Odd specs that come and go**: after any spec and back, conditions and weights are as if it had never been.
- **Late views, real API server**: the watch of each kind stalls, lags, tells the past again, lists the past, or loses
  deletions, while objects of that kind are deleted and made again under their names. The process lives, and traffic is
  served afterwards.
- **Hostile Prometheus**: trickled headers and bodies, endless 1xx, silence, a gzip bomb, two million rows, a reset, a
  slow TLS handshake, a redirect, nonsense; at the read, at the warm start, and when the operator is to end. Memory,
  threads, the time of a tick and of the end are bounded, and a neighbour's incident is remediated meanwhile.
- **Planted secrets**: tokens, passwords, headers and keys that the operator is given, secrets in objects it watches,
  and what addresses of tenants answer, are looked for in status, Events, Remediations, recordings, logs, metrics, in
  what the commands print, and in requests to other addresses; also when a server repeats them in its errors.
- **Leadership under load**: while many read the metrics of many Balancers the Lease is renewed in time; a leader that
  stood still for longer than its deadline writes nothing and ends.
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, default=200, help="times the sample of `make test`")
    scale = parser.parse_args(argv).scale
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "tally")
        lines.touch()
        environment = {**os.environ, SCALE_VARIABLE: str(scale), TALLY: str(lines)}
        failed, passed, tests = 0, 0, 0
        for number, command in enumerate(commands()):
            report = Path(folder, f"report-{number}.xml")
            failed += subprocess.run(
                [*command, f"--junit-xml={report}"], cwd=ROOT, env=environment, check=False
            ).returncode
            whole, tried = counted(report)
            passed, tests = passed + whole, tests + tried
        rows = table(lines.read_text().splitlines())
    minutes = (time.monotonic() - began) / 60
    page = _PAGE.format(
        rows="\n".join(rows), passed=passed, tests=tests, minutes=round(minutes), cores=os.cpu_count(), scale=scale
    )
    if failed:
        sys.exit("the page is left as it was: not all trials passed")
    PAGE.write_text(page)
    print(f"wrote {PAGE.relative_to(ROOT)}")


def commands() -> Iterator[list[str]]:
    """What is run."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    yield [*pytest, "-n", "auto", "tests/campaign"]
    yield [sys.executable, "-m", "lab", "run-control-plane", "--", *pytest, *REAL]


def table(lines: Sequence[str]) -> list[str]:
    """Rows of the page, one a part of the campaign."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for line in lines:
        trial = json.loads(line)
        for at, count in enumerate((trial.get("trials", 1), trial["ticks"], trial["writes"], trial["broken"])):
            sums[trial["about"]][at] += count
    return [f"| {about} | " + " | ".join(f"{each:,}" for each in sums[about]) + " |" for about in sorted(sums)]


def counted(report: Path) -> tuple[int, int]:
    """Tests that passed, and all."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    failed = sum(int(suite.get(kind, "0")) for kind in ("failures", "errors", "skipped"))
    return int(suite.get("tests", "0")) - failed, int(suite.get("tests", "0"))


if __name__ == "__main__":
    main()
