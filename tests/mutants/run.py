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
    "sam/masks.py": ["unit/sam/test_masks.py"],
    "sam/generator.py": ["unit/sam/test_generator.py", "reference/test_amg.py"],
}
COUNTED = ("found", "slow", "crashed", "survived")


class Record:
    """What is known of the faults of one module, kept in a file that grows line by line."""

    def __init__(self, module: str, tests: Sequence[str], keep_found: bool) -> None:
        self.path = RECORDS / (module.removesuffix(".py").replace("/", ".") + ".jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        source = hashlib.sha256((SOURCES / module).read_bytes()).hexdigest()
        self.head = {"source": source, "tests": _hash_of_tests(tests), "day": date.today().isoformat()}
        text = self.path.read_text() if self.path.exists() else ""
        # A line without an end is what a killed run was writing.
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        old, self.known = (lines[0], {line["key"]: line for line in lines[1:]}) if lines else ({}, {})
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
    limits = Limits(max(20, 5 * right.cpu), max(120, 60 * right.cpu))
    known, every = equivalent(), list(mutants(module))
    stale = {name for name in known if name[0] == module} - set(map(name_of, every))
    if stale:
        sys.exit(f"{EQUIVALENT.name} names what is no fault of {module}: {sorted(stale)}")
    sampled = [mutant for mutant in every if not mutant.is_safeguard]
    random.Random(0).shuffle(sampled)
    counted = Counter(equivalent=len(every) - len(sampled), **{"all": len(every)})
    begin, sampled = time.monotonic(), sampled[: given.sample]
    for number, mutant in enumerate(sampled, 1):
        if name_of(mutant) in known:
            counted["equivalent"] += 1
            continue
        line = record.known.get(mutant.key)
        if line is None or line["outcome"] == "unclear":
            line = record.add(mutant, trial(mutant, tests, limits, record.best()))
            if line["outcome"] in ("survived", "unclear"):
                print(f"{module}:{mutant.line}\t{line['outcome']}\t{mutant.before}\t{mutant.after}", flush=True)
        counted[line["outcome"]] += 1
        if number % 50 == 0:
            print(f"{module}: {number} of {len(sampled)}, {time.monotonic() - begin:.0f} s", flush=True)
    last = trial(unchanged(module), tests, limits, record.best())
    if last.outcome != "survived":
        sys.exit(f"{module}: its tests do not pass without any fault, in the order of the last trials: {last.by}")
    if counted["unclear"]:
        sys.exit(f"{module}: of {counted['unclear']} faults nothing can be said; see {record.path}")
    summary = {"module": module, "day": record.head["day"], "tried": len(sampled), **counted}
    with record.path.with_suffix(".json").open("w") as file:
        json.dump(summary, file)


def table(modules: Sequence[str]) -> tuple[str, float]:
    """The rows of docs/reliability.md, and the share of faults found in all."""
    rows, found, counted = [], 0, 0
    for module in modules:
        path = RECORDS / (module.removesuffix(".py").replace("/", ".") + ".json")
        if path.exists():
            some = Counter(json.loads(path.read_text(), parse_constant=None))
            total = sum(some[outcome] for outcome in COUNTED)
            caught = total - some["survived"]
            found, counted = found + caught, counted + total
            part = f"{caught} of {total} ({caught / max(1, total):.1%})"
            extra = f"{some['broken']} | {some['equivalent']} | {some['survived']} | {some['day']}"
            rows.append(f"| `{module}` | {some['all']} | {part} | {extra} |")
    head = ["| module | faults | found | cannot be imported | equivalent | survivors | measured |", "|---" * 7 + "|"]
    return "\n".join([*head, *rows]), found / max(1, counted)


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
