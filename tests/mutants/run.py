"""`make mutants`: do the unit tests notice when the code is wrong? Small faults are planted, one at a time.

The faults are cosmic-ray's: an operator, a comparison or a number replaced, a condition turned round, a loop that runs
zero times. Each is run against the unit tests of its module alone, in a child of this process that has imported the
libraries already. A fault with which the module cannot even be imported is not counted. Survivors that change nothing
that anybody could see stand in equivalent.tsv, each with the reason; the others are work to be done.

    python tests/mutants/run.py [MODULE ...] [--seconds 60] [--least 0.95]
"""

import argparse
import contextlib
import csv
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Any

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.tsv")
SOURCES = ROOT / "src/regionflow"

# Module below src/regionflow and the tests that are about it.
MODULES: dict[str, list[str]] = {
    "formats/checked.py": ["unit/formats"],
    "formats/rle.py": ["unit/formats/test_rle.py", "faults/test_reading_rle.py", "unit/formats/test_label_maps.py"],
    "formats/regions.py": ["unit/formats/test_regions.py"],
    "formats/hdf5.py": ["unit/formats", "faults/test_reading_owners.py", "faults/test_reading_damage.py"],
    "formats/geometry.py": ["unit/formats/test_geometry.py", "unit/pooled/test_pool.py"],
    "formats/pooled.py": ["unit/formats/test_pooled.py", "faults/test_reading_owners.py", "unit/test_dataset.py"],
    "formats/labels.py": ["unit/formats", "faults/test_reading_owners.py", "faults/test_images_labels.py"],
    "formats/features.py": ["unit/formats/test_features.py", "faults/test_reading_owners.py"],
    "regions/merge.py": ["unit/regions"],
    "pooled/pool.py": ["unit/pooled"],
    "pooled/sampling.py": ["unit/pooled"],
    "labels/kmeans.py": ["unit/labels/test_kmeans.py"],
    "run/stages.py": ["unit/run", "unit/config"],
    "sam/cleanup.py": ["unit/sam/test_masks.py", "unit/sam/test_cleanup.py"],
    "sam/masks.py": ["unit/sam/test_masks.py", "unit/sam/test_cleanup.py"],
}

_ARITHMETIC = {"Add": "Sub", "Sub": "Add", "Mul": "FloorDiv", "Div": "Mul", "FloorDiv": "Mul", "Mod": "FloorDiv"}
_BITS = {"BitAnd": "BitOr", "LShift": "RShift", "RShift": "LShift", "Pow": "Mul"}
_COMPARISONS = {
    **{"Eq": ["NotEq"], "NotEq": ["Eq"], "Is": ["IsNot"], "IsNot": ["Is"]},
    **{"Lt": ["LtE", "GtE"], "LtE": ["Lt", "Gt"], "Gt": ["GtE", "LtE"], "GtE": ["Gt", "Lt"]},
}
OPERATORS = [
    *(f"core/ReplaceBinaryOperator_{old}_{new}" for old, new in (_ARITHMETIC | _BITS).items()),
    *(f"core/ReplaceComparisonOperator_{old}_{new}" for old, several in _COMPARISONS.items() for new in several),
    *(f"core/{name}" for name in ("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "NumberReplacer")),
    *(
        f"core/{name}"
        for name in ("ReplaceFalseWithTrue", "AddNot", "ZeroIterationForLoop", "ReplaceBreakWithContinue")
    ),
    *(f"core/ReplaceUnaryOperator_{name}" for name in ("Delete_Not", "Delete_USub", "Delete_Invert")),
]


@dataclass(frozen=True)
class Mutant:
    """A module with one fault: where it is, and the line before and after."""

    module: str
    source: str
    line: int
    before: str
    after: str


def mutants(module: str) -> Iterator[Mutant]:
    """Every fault in a module."""
    source = (SOURCES / module).read_text()
    seen = {source}
    for name in OPERATORS:
        for occurrence in count():
            changed = mutate_code(source, get_operator(name)(), occurrence)
            if changed is None:
                break
            if changed not in seen:
                seen.add(changed)
                yield _described(module, source, changed)


def _described(module: str, source: str, changed: str) -> Mutant:
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    number, (before, after) = next((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return Mutant(module, changed, number, before.strip(), after.strip())


class Planted(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module of regionflow from another source."""

    def __init__(self, module: str, source: str) -> None:
        self.source = source
        super().__init__("regionflow." + module.removesuffix(".py").replace("/", "."), str(SOURCES / module))

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(fullname, self, origin=self.path) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


KILLED, SURVIVED, BROKEN = 1, 0, 3


def outcome(mutant: Mutant, tests: list[str], seconds: float, loaded: Path = Path(os.devnull)) -> int:
    """Run the tests on it in a child: KILLED, also if it takes too long; SURVIVED; BROKEN where it cannot be imported.

    The names of the modules that were imported then are written to `loaded`.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        code = _tested(mutant, tests)
        loaded.write_text("\n".join(sys.modules))
        os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else KILLED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return KILLED


def import_libraries(names: list[str]) -> None:
    """Import what the tests need, but nothing of ours, so that no child has to."""
    for name in names:
        with contextlib.suppress(Exception):
            spec = importlib.util.find_spec(name.partition(".")[0])
            if spec and "site-packages" in str(spec.origin):
                importlib.import_module(name)


def _tested(mutant: Mutant, tests: list[str]) -> int:
    import pytest
    from hypothesis import settings

    settings.register_profile("mutants", derandomize=True, max_examples=40, deadline=None, database=None)
    settings.load_profile("mutants")
    planted = Planted(mutant.module, mutant.source)
    sys.meta_path.insert(0, planted)
    try:
        importlib.import_module(planted.name)
    except Exception:
        return BROKEN
    paths = [str(ROOT / "tests" / test) for test in tests if (ROOT / "tests" / test).exists()]
    code = pytest.main([*paths, "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist"])
    return SURVIVED if code == 0 else KILLED


def is_a_safeguard(mutant: Mutant) -> bool:
    """A check of what is so by construction: lists of equal length, objects that nobody changes."""
    safe = mutant.before.replace("strict=True", "strict=False"), mutant.before.replace("frozen=True", "frozen=False")
    return mutant.after in safe


def equivalent() -> dict[tuple[str, str, str], str]:
    """The reason by module, line before and line after."""
    with EQUIVALENT.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {(row["module"], row["before"], row["after"]): row["reason"] for row in rows}


def main() -> None:
    """Run the modules that are named, or all; exit code 1 where too many faults survive."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="below src/regionflow, e.g. formats/rle.py")
    parser.add_argument("--seconds", type=float, default=60, help="how long the tests of one fault may take")
    parser.add_argument("--least", type=float, default=0.95, help="share of the faults that must be found")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    import_libraries(["pytest"])
    known, every = equivalent(), [0, 0]
    for module in given.modules or MODULES:
        counts = {KILLED: 0, SURVIVED: 0, BROKEN: 0, "equivalent": 0}
        unchanged = Mutant(module, (SOURCES / module).read_text(), 0, "", "")
        with tempfile.NamedTemporaryFile() as loaded:
            if outcome(unchanged, MODULES[module], 10 * given.seconds, Path(loaded.name)) != SURVIVED:
                sys.exit(f"{module}: its tests fail without any fault")
            import_libraries(Path(loaded.name).read_text().split())
        for mutant in mutants(module):
            if (module, mutant.before, mutant.after) in known or is_a_safeguard(mutant):
                counts["equivalent"] += 1
                continue
            found = outcome(mutant, MODULES[module], given.seconds)
            counts[KILLED if found not in counts else found] += 1
            if found == SURVIVED:
                print(f"{module}:{mutant.line}\t{mutant.before}\t{mutant.after}", flush=True)
        counted = counts[KILLED] + counts[SURVIVED]
        every = [every[0] + counts[KILLED], every[1] + counted]
        print(f"{module}: {counts[KILLED]} of {counted} found, {counts['equivalent']} are equivalent", flush=True)
    share = every[0] / max(1, every[1])
    print(f"{every[0]} of {every[1]} found ({share:.1%})")
    sys.exit(share < given.least)


if __name__ == "__main__":
    main()
