"""Builds what is missing: parts that need nothing from each other side by side, those that compile one at a time."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from lab import cache, commands, golang, progress
from lab.parts import PARTS, Part, is_built, needed_parts

# Go uses every core by itself; two compilations at once would only take turns, in twice the memory. But from here on
# few packages are left: one core compiles the largest and links while the others idle (35 s of Prometheus' 125).
TAIL_RATIO = 0.9
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
        with progress.showing() as shown, _go_caches(missing, shown):
            _build_all(missing, shown)


@contextlib.contextmanager
def _go_caches(missing: list[str], shown: progress.Progress) -> Iterator[None]:
    """Go's caches are this process's alone while it compiles, and are gone when all is built."""
    compiled = [name for name in missing if PARTS[name].compiles]
    if not compiled:
        yield
        return
    with cache.lock(COMPILING, waiting=lambda: shown.start(compiled[0], "another build is at it; waiting")):
        yield
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

    def others_build() -> None:
        shown.update(part.name, what="another build is at it; waiting")

    with cache.lock(f"{part.name}-{entry.name}", waiting=others_build):
        if not entry.exists():
            with _turn(part, shown) as pass_on:

                def counted(done: int, total: int) -> None:
                    shown.update(part.name, done=done, total=total)
                    if done >= TAIL_RATIO * total:
                        pass_on()

                cache.publish(entry, lambda folder: part.make(folder, counted))
            cache.forget_others(entry)
    shown.finish(part.name, part.what)


@contextlib.contextmanager
def _turn(part: Part, shown: progress.Progress) -> Iterator[Callable[[], None]]:
    """Wait until this part may compile. What is given ends its turn early; calling it again does nothing."""
    with contextlib.ExitStack() as held:
        if part.compiles:
            shown.update(part.name, what="waiting for its turn to compile")
            held.enter_context(_compiling)
            shown.update(part.name, what=part.what)
        yield held.close
