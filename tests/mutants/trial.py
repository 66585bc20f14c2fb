"""One trial: a module with a fault is put in the place of the right one, and its tests run, in a child of this process.

The parent has imported the libraries, and those modules of regionflow that do not use the one on trial, so that a child
costs little more than its tests. A trial tells what happened, and never takes what it does not understand for success.
"""

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, Literal

from mutant import ROOT, SOURCES, Mutant

Outcome = Literal["found", "slow", "crashed", "survived", "broken", "unclear"]
"""found: a test failed. slow: its time of the processor was over. crashed: native code did. broken: it cannot be
imported, and so counts for nothing. unclear: something else happened, and nothing may be concluded from it."""
MEMORY = 8 << 30
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


@dataclass(frozen=True)
class Limits:
    """Seconds that the tests may take: of the processor, since the machine may be busy, and of the clock."""

    cpu: float = 600
    wall: float = 1200


@dataclass
class Trial:
    """What happened: the tests that were collected, the first that failed, seconds of the processor, modules loaded."""

    outcome: Outcome = "unclear"
    by: str = ""
    collected: int = 0
    cpu: float = 0.0
    why: str = ""
    loaded: list[str] = field(default_factory=list)


class Planted(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module of regionflow from another source."""

    def __init__(self, module: str, source: str) -> None:
        self.source = source
        super().__init__(module_name(module), str(SOURCES / module))

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(fullname, self, origin=self.path) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


def module_name(module: str) -> str:
    """formats/rle.py -> regionflow.formats.rle."""
    return "regionflow." + module.removesuffix(".py").replace("/", ".")


class Watch:
    """A pytest plugin: tests that found faults before come first; what failed is noted."""

    def __init__(self, first: Sequence[str]) -> None:
        self.place = {test: place for place, test in enumerate(first)}
        self.collected = 0
        self.failed: list[str] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        self.collected = len(items)
        items.sort(key=lambda item: self.place.get(item.nodeid, len(self.place)))

    def pytest_collectreport(self, report: Any) -> None:
        self.pytest_runtest_logreport(report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def trial(mutant: Mutant, tests: Sequence[str], limits: Limits = Limits(), first: Sequence[str] = ()) -> Trial:
    """Run the tests, paths below tests/, on a mutant; `first` are the tests to begin with."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        answer = Path(folder, "answer.json")
        child = os.fork()
        if child == 0:
            _in_child(mutant, tests, limits, first, Path(folder))
        ended = _wait(child, limits.wall)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what the tests have started
        _, status, used = os.wait4(child, 0)
        happened = Trial(**json.loads(answer.read_text())) if answer.exists() else Trial()
    happened.cpu = round(used.ru_utime + used.ru_stime, 2)
    code = os.waitstatus_to_exitcode(status)
    if not ended:  # it waits for something that never comes, or for a processor that others have
        happened.outcome, happened.why = "unclear", f"not over after {limits.wall:.0f} s of the clock"
    elif code == -signal.SIGXCPU:
        happened.outcome = "slow"
    elif code < 0:
        happened.outcome, happened.why = ("crashed" if -code in CRASHES else "unclear"), f"signal {-code}"
    return happened


def _wait(child: int, seconds: float) -> bool:
    """Whether the child ends in that time."""
    pidfd = os.pidfd_open(child)
    try:
        return bool(select.select([pidfd], [], [], seconds)[0])
    finally:
        os.close(pidfd)


def _in_child(mutant: Mutant, tests: Sequence[str], limits: Limits, first: Sequence[str], folder: Path) -> None:
    happened = Trial()
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limits.cpu) + 1, int(limits.cpu) + 6))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        happened = _tested(mutant, tests, first, folder)
    except BaseException as error:
        happened.why = repr(error)
    try:
        (folder / "part").write_text(json.dumps(vars(happened)))
        (folder / "part").rename(folder / "answer.json")
    finally:
        os._exit(0)


def _tested(mutant: Mutant, tests: Sequence[str], first: Sequence[str], folder: Path) -> Trial:
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    # Shrinking takes long and changes no answer; neither time nor chance may decide.
    profile = {"phases": [Phase.explicit, Phase.generate], "suppress_health_check": list(HealthCheck)}
    settings.register_profile("mutants", derandomize=True, max_examples=40, deadline=None, database=None, **profile)
    settings.load_profile("mutants")
    planted = Planted(mutant.module, mutant.source)
    sys.meta_path.insert(0, planted)
    try:
        importlib.import_module(planted.name)
    except Exception as error:
        return Trial("broken", why=repr(error))
    quick = ["-x", "-q", "-m", "not slow", "--tb=no", "--assert=plain", f"--basetemp={folder / 'tests'}"]
    without = [
        f"-pno:{name}"
        for name in (
            "cacheprovider",
            "xdist",
            "warnings",
            "logging",
            "faulthandler",
            "unraisableexception",
            "threadexception",
        )
    ]
    watch, happened = Watch(first), Trial()
    # A file of tests at a time, that which found most before all others: often the others need not even be imported.
    for test in sorted(tests, key=lambda test: _place(test, first)):
        watch.collected = 0
        code = pytest.main([str(ROOT / "tests" / test), *quick, *without], plugins=[watch])
        happened.collected += watch.collected
        if code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED) and watch.failed:
            happened.outcome, happened.by = "found", watch.failed[0]
            break
        if code != pytest.ExitCode.OK or not watch.collected or watch.failed:
            happened.why = f"pytest ended with {code!r}, {watch.collected} tests of {test} collected"
            break
    else:
        happened.outcome = "survived"
    if getattr(sys.modules.get(planted.name), "__loader__", None) is not planted:
        happened.outcome, happened.why = "unclear", "the fault was not in place"
    happened.loaded = [] if first else list(sys.modules)
    return happened


def _place(test: str, first: Sequence[str]) -> int:
    return next((place for place, one in enumerate(first) if one.startswith(f"tests/{test}")), len(first))


def prepare(module: str, loaded: Sequence[str]) -> None:
    """Import what the tests have loaded, except for what uses the module, so that no child has to."""
    users = _users(module_name(module), [name for name in loaded if name.split(".")[0] == "regionflow"])
    for name in loaded:
        with contextlib.suppress(Exception):
            spec = importlib.util.find_spec(name.partition(".")[0])
            # Snakemake imports our plugins, and with them what may be on trial.
            library = "site-packages" in str(spec and spec.origin) and not name.startswith("snakemake")
            if library or (name.startswith("regionflow.") and name not in users):
                importlib.import_module(name)
    gc.freeze()  # or every child copies all of it to collect garbage


def _users(target: str, ours: Sequence[str]) -> set[str]:
    """The module, and all that import it, be it through others."""
    imports = {name: _imports(name) for name in ours}
    users = {target}
    while more := {name for name, used in imports.items() if name not in users and used & users}:
        users |= more
    return users


def _imports(name: str) -> set[str]:
    spec = importlib.util.find_spec(name)
    names: set[str] = set()
    for node in ast.walk(ast.parse(Path(str(spec and spec.origin)).read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update({str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names
