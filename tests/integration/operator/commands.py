"""`evenload ...` as a person runs it, against the API server of these tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.apiproxy import ApiProxy


@contextlib.asynccontextmanager
async def command(proxy: ApiProxy, folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`evenload ...` as a process of its own; killed if it is still there at the end."""
    kubeconfig = proxy.write_kubeconfig(folder / "kubeconfig-of-a-person")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "evenload.cli.main",
        *arguments,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def answer(
    proxy: ApiProxy, folder: Path, *arguments: str, given: str = "", seconds: float = 120.0
) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr; `given` is its stdin."""
    async with command(proxy, folder, *arguments) as process:
        said, complaints = await asyncio.wait_for(process.communicate(given.encode()), seconds)
    return process.returncode, said.decode(), complaints.decode()
