"""Builds what is missing: parts that need nothing from each other side by side, those that compile one at a time."""

import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from lab import cache, commands, golang, progress
from lab.parts import PARTS, Part, is_built, needed_parts

# Go uses every core by itself; two compilations at once would only take turns, in twice the memory.
COMPILING = "compiling"
STOP_POLL_SECONDS = 0.1
_compiling = threading.Lock()


def ensure(names: Iterable[str] | None = None) -> None:
    """Build the named parts (all by default) and what they need; returns at once when all are there.

    Safe to interrupt (what is whole stays, Go's build cache keeps the rest) and to run twice at the same time.
    """
    wanted = with_needs(names if names is not None else needed_parts())
    missing = [name for name in wanted if not is_built(name)]
    if missing:
        with progress.showing() as shown:
            _build_all(missing, shown)
        if any(PARTS[name].compiles for name in missing):
            with cache.lock(COMPILING):
                golang.forget_caches()


def with_needs(names: Iterable[str]) -> list[str]:
    """The parts and, before each, those it is made from."""
    available = set(needed_parts())
    ordered: list[str] = []

    def visit(name: str) -> None:
        for need in PARTS[name].needs:
            if need in available:
                visit(need)
        if name not in ordered:
            ordered.append(name)

    for name in names:
        visit(name)
    return ordered


def _build_all(missing: list[str], shown: progress.Progress) -> None:
    waiting = {name: {need for need in PARTS[name].needs if need in missing} for name in missing}
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=len(missing)) as pool:
        try:
            while waiting or running:
                for name in [name for name, needs in waiting.items() if not needs]:
                    del waiting[name]
                    running[pool.submit(_build_one, PARTS[name], shown)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    finished = running.pop(future)
                    future.result()
                    for needs in waiting.values():
                        needs.discard(finished)
        except BaseException:
            # The pool waits for its threads, they for programs, and one that ends may be followed by the next.
            while wait(running, timeout=STOP_POLL_SECONDS).not_done:
                commands.stop_all()
            raise


def _build_one(part: Part, shown: progress.Progress) -> None:
    entry = part.folder()
    shown.start(part.name, part.what)

    def counted(done: int, total: int) -> None:
        shown.update(part.name, done=done, total=total)

    def others_build() -> None:
        shown.update(part.name, what="another build is at it; waiting")

    with cache.lock(f"{part.name}-{entry.name}", waiting=others_build):
        if not entry.exists():
            if part.compiles:
                shown.update(part.name, what="waiting for its turn to compile")
                with _compiling, cache.lock(COMPILING):
                    shown.update(part.name, what=part.what)
                    cache.publish(entry, lambda folder: part.make(folder, counted))
            else:
                cache.publish(entry, lambda folder: part.make(folder, counted))
            cache.forget_others(entry)
    shown.finish(part.name, part.what)
