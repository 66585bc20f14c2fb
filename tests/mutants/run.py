"""`make mutants`: do the unit tests notice when the code is wrong? Small faults are planted, one at a time.

The faults are cosmic-ray's: an operator, a comparison or a number replaced, a condition turned round, a loop that runs
zero times. Each is run against the tests of its module alone. A fault with which the module cannot even be imported is
not counted. Survivors that change nothing that anybody could see stand in equivalent.tsv, each with the reason; the
others are work to be done. Results are kept in build/mutants: a run that was stopped goes on where it was.

    python tests/mutants/run.py [MODULE ...] [--least 0.95] [--sample 40] [--keep-found] [--table]
"""

import argparse
import csv
import hashlib
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from mutant import ROOT, SOURCES, Mutant, gutted, mutants, unchanged
from trial import Limits, Trial, prepare, trial

EQUIVALENT = Path(__file__).with_name("equivalent.tsv")
RECORDS = ROOT / "build/mutants"

# Module below src/regionflow and the tests that are about it.
MODULES: dict[str, list[str]] = {
    "formats/checked.py": ["unit/formats/test_checked.py"],
    "formats/rle.py": ["unit/formats/test_rle.py", "faults/test_reading_rle.py"],
    "formats/regions.py": ["unit/formats/test_regions.py"],
    "formats/hdf5.py": ["unit/formats/test_hdf5.py"],
    "formats/geometry.py": ["unit/formats/test_geometry.py", "unit/pooled/test_pool.py"],
    "formats/pooled.py": ["unit/formats/test_pooled.py"],
    "formats/labels.py": ["unit/formats/test_labels.py"],
    "formats/features.py": ["unit/formats/test_features.py"],
    "regions/merge.py": ["unit/regions"],
    "pooled/pool.py": ["unit/pooled/test_pool.py", "reference/test_pooling.py"],
    "pooled/sampling.py": [
        "unit/pooled/test_sampling.py",
        "unit/pooled/test_pool.py",
        "reference/test_pooling.py",
    ],
    "labels/kmeans.py": ["unit/labels/test_kmeans.py"],
    "run/stages.py": ["unit/run/test_stages.py"],
    "sam/cleanup.py": ["unit/sam/test_cleanup.py", "unit/sam/test_masks.py"],
    "sam/masks.py": ["unit/sam/test_full_size.py", "unit/sam/test_masks.py"],
    "sam/generator.py": ["unit/sam/test_generator_parts.py"],
}
COUNTED = ("found", "slow", "crashed", "survived")


class Record:
    """What is known of the faults of one module, kept in a file that grows line by line."""

    def __init__(self, module: str, tests: Sequence[str], keep_found: bool) -> None:
        self.path = _path_of(module)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        source = _hash_of_source(module)
        self.head = {"source": source, "tests": _hash_of_tests(tests), "day": date.today().isoformat()}
        old, self.known = read_record(module)
        if old.get("source") != source:
            self.known = {}
        elif old["tests"] != self.head["tests"]:
            kept = ("found", "slow", "crashed", "broken") if keep_found else ()
            self.known = {key: line for key, line in self.known.items() if line["outcome"] in kept}
        self.path.write_text("".join(json.dumps(line) + "\n" for line in (self.head, *self.known.values())))

    def add(self, mutant: Mutant, happened: Trial) -> dict[str, Any]:
        """Keep what one trial told."""
        place = {"line": mutant.line, "function": mutant.function, "before": mutant.before, "after": mutant.after}
        told = {"outcome": happened.outcome, "by": happened.by, "cpu": happened.cpu, "why": happened.why}
        self.known[mutant.key] = {"key": mutant.key, **place, **told}
        with self.path.open("a") as file:
            file.write(json.dumps(self.known[mutant.key]) + "\n")
        return self.known[mutant.key]

    def best(self) -> list[str]:
        """The tests that found faults, those that found most first."""
        return [test for test, _ in Counter(line["by"] for line in self.known.values() if line["by"]).most_common()]


def read_record(module: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What a record was made of, and what it says of each fault; both empty without one."""
    text = _path_of(module).read_text() if _path_of(module).exists() else ""
    # A line without an end is what a killed run was writing.
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return (lines[0], {line["key"]: line for line in lines[1:]}) if lines else ({}, {})


def _path_of(module: str) -> Path:
    return RECORDS / (module.removesuffix(".py").replace("/", ".") + ".jsonl")


def _hash_of_source(module: str) -> str:
    return hashlib.sha256((SOURCES / module).read_bytes()).hexdigest()


def _hash_of_tests(tests: Sequence[str]) -> str:
    paths = [ROOT / "tests" / test for test in (*tests, "helpers")]
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def equivalent() -> dict[tuple[str, str, str, str], str]:
    """The reason by module, function, line before and line after."""
    with EQUIVALENT.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {(row["module"], row["function"], row["before"], row["after"]): row["reason"] for row in rows}


def name_of(mutant: Mutant) -> tuple[str, str, str, str]:
    """How equivalent.tsv names it."""
    return mutant.module, mutant.function, mutant.before, mutant.after


def measure(module: str, given: argparse.Namespace) -> None:
    """Try every fault of a module that is not known yet; ends the process where something cannot be trusted."""
    tests = MODULES[module]
    missing = [test for test in tests if not (ROOT / "tests" / test).exists()]
    if missing:
        sys.exit(f"{module}: there is no {', '.join(missing)}")
    record = Record(module, tests, given.keep_found)
    right = trial(unchanged(module), tests)
    if right.outcome != "survived":
        sys.exit(f"{module}: its tests do not pass without any fault: {right.outcome} {right.by} {right.why}")
    prepare(module, right.loaded)
    wrong = trial(gutted(module), tests)
    if wrong.outcome not in ("found", "crashed", "slow"):
        sys.exit(f"{module}: with functions that do nothing but fail: {wrong.outcome} {wrong.why}")
    usual = trial(unchanged(module), tests)  # now that its libraries are there
    limits = Limits(max(10, 5 * usual.cpu), max(120, 60 * right.cpu))
    known, every = equivalent(), list(mutants(module))
    stale = {name for name in known if name[0] == module} - set(map(name_of, every))
    if stale:
        sys.exit(f"{EQUIVALENT.name} names what is no fault of {module}: {sorted(stale)}")
    sampled = [mutant for mutant in every if not mutant.is_safeguard]
    random.Random(0).shuffle(sampled)
    unclear = 0
    begin, sampled = time.monotonic(), sampled[: given.sample]
    for number, mutant in enumerate(sampled, 1):
        if name_of(mutant) in known:
            continue
        line = record.known.get(mutant.key)
        if line is None or line["outcome"] == "unclear":
            line = record.add(mutant, trial(mutant, tests, limits, record.best()))
            if line["outcome"] in ("survived", "unclear"):
                print(f"{module}:{mutant.line}\t{line['outcome']}\t{mutant.before}\t{mutant.after}", flush=True)
        unclear += line["outcome"] == "unclear"
        if number % 50 == 0:
            print(f"{module}: {number} of {len(sampled)}, {time.monotonic() - begin:.0f} s", flush=True)
    last = trial(unchanged(module), tests, limits, record.best())
    if last.outcome != "survived":
        sys.exit(f"{module}: its tests do not pass without any fault, in the order of the last trials: {last.by}")
    if unclear:
        sys.exit(f"{module}: of {unclear} faults nothing can be said; see {record.path}")


def table(modules: Sequence[str]) -> tuple[str, float]:
    """The rows of docs/reliability.md, from what is on record about the modules as they are; the share found in all."""
    rows, found, counted, known = [], 0, 0, equivalent()
    for module in modules:
        head, lines = read_record(module)
        if head.get("source") != _hash_of_source(module):
            continue
        every = list(mutants(module))
        open_ones = [m for m in every if name_of(m) not in known and not m.is_safeguard]
        some = Counter(lines[m.key]["outcome"] for m in open_ones if m.key in lines)
        total = sum(some[outcome] for outcome in COUNTED)
        caught = total - some["survived"]
        found, counted = found + caught, counted + total
        part = f"{some.total()} | {caught} of {total} ({caught / max(1, total):.1%}) | {some['broken']}"
        rest = f"{len(every) - len(open_ones)} | {some['survived']} | {head['day']}"
        rows.append(f"| `{module}` | {len(every)} | {part} | {rest} |")
    head_row = "| module | faults | tried | found | cannot be imported | equivalent | survivors | measured |"
    return "\n".join([head_row, "|---" * 8 + "|", *rows]), found / max(1, counted)


def main() -> None:
    """Run the modules that are named, or all; exit code 1 where too many faults survive."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="below src/regionflow, e.g. formats/rle.py")
    parser.add_argument("--least", type=float, default=0.95, help="share of the faults that must be found")
    parser.add_argument("--sample", type=int, help="try so many of each module's faults, drawn with a fixed seed")
    parser.add_argument("--keep-found", action="store_true", help="try only survivors again after a change of tests")
    parser.add_argument("--table", action="store_true", help="print what is known, and run nothing")
    given = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    import hypothesis  # noqa: F401  # so that no child has to
    import pytest  # noqa: F401

    failed = []
    for module in [] if given.table else given.modules or MODULES:
        child = os.fork()  # each module begins with nothing of ours imported
        if child == 0:
            try:
                measure(module, given)
            except SystemExit as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(1)
            finally:
                sys.stdout.flush()
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            failed.append(module)
    text, share = table(given.modules or list(MODULES))
    print(f"{text}\n{share:.1%} of the faults were found")
    sys.exit(f"not measured: {', '.join(failed)}" if failed else int(share < given.least))


if __name__ == "__main__":
    main()
