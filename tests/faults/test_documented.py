"""docs/reliability.md names a test for every fault: each of them is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"(?<![\w/])((?:tests/[\w/]+/)?test_\w+\.py|…)(?:::(test_\w+))?")


def test_every_test_that_is_named_is_there() -> None:
    path, named = Path(), set()
    for line in (ROOT / "docs/reliability.md").read_text(encoding="utf-8").splitlines():
        for place, name in NAMED.findall(line):
            if place != "…":
                path = ROOT / place if "/" in place else ROOT / "tests/faults" / place
            if name:
                named.add((path, name))
            assert path.is_file(), f"{line[:60]}: {path.relative_to(ROOT)}"
    gone = [f"{p.name}::{name}" for p, name in named if f"def {name}(" not in p.read_text(encoding="utf-8")]
    assert len(named) > 80 and gone == []


def test_every_finding_has_a_row() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    first = {cell for row in re.findall(r"^\| ([AB\d, ]+) \|", text, re.MULTILINE) for cell in row.split(", ")}
    assert {f"A{i}" for i in range(1, 13)} | {f"B{i}" for i in range(1, 29)} <= first
    assert {str(i) for i in range(1, 26)} <= first
