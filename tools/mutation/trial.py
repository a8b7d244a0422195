"""Running tests against a changed engine, each time in a process of its own that shares what is loaded already.

A fresh interpreter a mutant would spend its time on importing and collecting. A fork has all that: where the change is
inside a function, the engine and the tests are loaded once, and the fork gives the function its changed code; where it
is outside (a constant, a table), the fork imports the engine anew, with the changed text in place of the file. Nothing
is written into the checkout.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import inspect
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import coverage
import msgspec  # noqa: F401
import numpy  # noqa: F401
import pytest
import yaml  # noqa: F401

from tools.mutation.reach import Reach

# In the order given, without parallel workers and without a cache: the same every time. The time limit is one of CPU.
OPTIONS = ("-q", "-x", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "timeout=0")
LIMIT_FACTOR, LIMIT_SECONDS = 5.0, 10  # a change that never ends is noticed
SURVIVED = "survived"
BROKEN = "the trial itself broke"


class _Watch:
    """A pytest plugin: no shrinking and no randomness in property tests; tells who failed, and how long each took."""

    def __init__(self, failed: Callable[[str], None] = lambda _: None) -> None:
        self.failed = failed
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # not before pytest is up: it rewrites its plugins' assertions

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", derandomize=True, database=None, deadline=None, phases=phases)
        settings.load_profile("mutation")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begun = time.process_time()  # of CPU: a busy machine makes no test slower
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - begun

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed(report.nodeid)


class _Contexts:
    """A pytest plugin: what is run is booked on the test that runs it."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        self.measured.switch_context(item.nodeid)
        return (yield)


def reach(paths: Sequence[Path], tests: Sequence[str], cache: Path) -> Reach:
    """One run of all tests on the engine as it is. Raises SystemExit where one fails: then nothing can be told."""
    kept = cache / f"reach-{_fingerprint(tests)}.json"
    if not kept.exists():
        told = _forked(lambda: _measured(paths, tests)).wait()
        if not told.startswith("{"):
            raise SystemExit(f"the tests fail without any change: {told or 'crashed'}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(told)
    return Reach.read(kept.read_text())


def _fingerprint(tests: Sequence[str]) -> str:
    """Of all that the run depends on: the package, and the tests with what supports them."""
    files = sorted(path for folder in ("operator", "tests/support", *tests) for path in Path(folder).rglob("*.py"))
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()[:16]


def _measured(paths: Sequence[Path], tests: Sequence[str]) -> str:
    """A Reach in JSON, or the name of the test that failed."""
    measured = coverage.Coverage(data_file=None, config_file=False, include=[str(path.resolve()) for path in paths])
    failed: list[str] = []
    watch = _Watch(failed.append)
    measured.start()
    pytest.main([*OPTIONS, *tests], plugins=[watch, _Contexts(measured)])
    measured.stop()
    if failed:
        return failed[0]
    data = measured.get_data()
    lines = {str(path): data.contexts_by_lineno(str(path.resolve())) for path in paths}
    return Reach.written(watch.seconds, lines)


class Trial:
    """A child at work: `wait` gives what it wrote."""

    def __init__(self, pid: int, end: int) -> None:
        self.pid, self.end = pid, end

    def wait(self) -> str:
        """All that it wrote, "" where it was ended for taking too long."""
        with os.fdopen(self.end) as told:
            text = told.read()
        os.waitpid(self.pid, 0)
        if text.startswith(BROKEN):
            raise RuntimeError(text)
        return text


Attempt = Callable[[Path, str, Sequence[str], float], Trial]
"""A file, its changed text, the tests to run and their usual seconds: "survived", or the test that failed, or "" where
it never ended."""


def anew(path: Path, source: str, tests: Sequence[str], seconds: float) -> Trial:
    """Imports everything anew; this process must not have imported the engine yet."""

    def run() -> str:
        _limit(seconds)
        _replace(path, source)
        failed: list[str] = []
        status = pytest.main([*OPTIONS, *tests], plugins=[_Watch(failed.append)])
        return SURVIVED if status == 0 else next(iter(failed), "not importable")

    return _forked(run)


def loaded(tests: Sequence[str], work: Callable[[Attempt], None]) -> None:
    """Collects all tests, then calls `work` with a way to run some of them: only for changes inside a function."""
    failed: list[str] = []

    class Loop:
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            items = {item.nodeid: item for item in session.items}

            def attempt(path: Path, source: str, chosen: Sequence[str], seconds: float) -> Trial:
                return _forked(lambda: _run(path, source, [items[test] for test in chosen], seconds, failed))

            work(attempt)
            return True

    pytest.main([*OPTIONS, "-s", *tests], plugins=[_Watch(failed.append), Loop()])


def _run(path: Path, source: str, items: Sequence[pytest.Item], seconds: float, failed: list[str]) -> str:
    _limit(seconds)
    _transplant(path, source)
    for item, following in zip(items, (*items[1:], None), strict=True):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if failed:
            return failed[0]
    return SURVIVED


def _limit(seconds: float) -> None:
    limit = int(LIMIT_FACTOR * seconds) + LIMIT_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


def _forked(work: Callable[[], str]) -> Trial:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Trial(pid, reading)
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        text = _done(work).encode()
        while text:
            text = text[os.write(writing, text) :]
    finally:
        os._exit(0)


def _done(work: Callable[[], str]) -> str:
    try:
        return work()
    except Exception as error:
        return f"{BROKEN}: {error!r}"


def _replace(path: Path, source: str) -> None:
    """Importing `path` gives `source`."""
    original = importlib.machinery.SourceFileLoader.get_code
    place = str(path.resolve())

    def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        if str(Path(loader.path).resolve()) == place:
            return compile(source, place, "exec", dont_inherit=True)
        return original(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def _transplant(path: Path, source: str) -> None:
    """Every function of the loaded module gets the code it has in `source`."""
    place = str(path.resolve())
    code = dict(_codes(compile(source, place, "exec", dont_inherit=True)))
    module = next(module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == place)
    for function in _functions(module):
        new = code.pop(function.__qualname__, None)
        if new is not None:
            function.__code__ = new
    if code:
        raise LookupError(f"{place}: {', '.join(code)} not found where it is loaded")


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Of functions and methods, by qualified name; what is inside them comes with them."""
    for each in code.co_consts:
        if isinstance(each, CodeType) and each.co_flags & inspect.CO_OPTIMIZED:
            if not each.co_name.startswith("<"):  # a lambda of a table, a comprehension
                yield each.co_qualname, each
        elif isinstance(each, CodeType):  # the body of a class
            yield from _codes(each)


def _functions(holder: ModuleType | type) -> Iterator[FunctionType]:
    """Functions and methods that are defined there, inside properties and the like too."""
    for value in list(vars(holder).values()):
        inner = (getattr(value, name, None) for name in ("fget", "__func__", "__wrapped__"))
        for each in (value, *inner, *getattr(value, "__dict__", {}).values()):
            if isinstance(each, FunctionType):
                yield each
        if isinstance(value, type) and value.__module__ == getattr(holder, "__name__", None):
            yield from _functions(value)


def keep_bytecode(folder: Path) -> None:
    """Compiled files go into the cache, not into the checkout: every trial but the first is the quicker for it."""
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(folder)
