"""Files that repeat each other stay equal, and nothing of a machine is committed."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_environment_has_the_ranges_of_pyproject():
    environment = yaml.safe_load((ROOT / "envs/regionflow.yaml").read_text())
    (packages,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert packages == [d for d in PROJECT["dependencies"] if not d.startswith("snakemake")]


def test_every_dependency_is_pinned_and_pins_are_versions_only():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9_.-]+", d)[0]).lower() for d in wanted}
    assert names <= pinned


def test_the_snakefile_and_rules_stay_small():
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 45
    for rules in (ROOT / "rules").glob("*.smk"):
        assert len(rules.read_text().splitlines()) <= 140, rules
