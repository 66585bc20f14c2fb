"""Files that repeat each other stay equal, and nothing of a machine is committed."""

import re
import tomllib
from pathlib import Path

import yaml

import regionflow

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
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["test"], *extras["clients"]]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9_.-]+", d)[0]).lower() for d in wanted}
    assert names <= pinned


def test_the_snakefile_and_rules_stay_small():
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 50
    for rules in (ROOT / "rules").glob("*.smk"):
        assert len(rules.read_text().splitlines()) <= 140, rules


def test_every_rule_that_runs_something_asks_for_memory_and_time():
    silent = []
    for path in (ROOT / "rules").glob("*.smk"):
        for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", path.read_text(), re.MULTILINE):
            if "    shell:\n" in body and not re.search(r"    resources:\n        \*\*(needs|asked_of_\w+)\(", body):
                silent.append(name)
    assert silent == []


def test_the_licence_is_named_alike_everywhere():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'__version__ = "(.*)"', (ROOT / "src/regionflow/__init__.py").read_text())[1]
    assert (citation["license"], citation["version"]) == ("Apache-2.0", version)


def test_folders_and_files_that_people_look_for_are_there():
    names = ["rules", "workflow/scripts", "config/config.yaml", "envs", "tests", "results/README.md", "CHANGELOG.md",
             "CONTRIBUTING.md", ".editorconfig", "src/regionflow/py.typed"]  # fmt: skip
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_what_the_pages_name_is_there():
    """Every page, file and module that README, CONTRIBUTING and docs name by its path."""
    gone = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text()
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        gone += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
        paths = re.findall(r"`((?:src|tests|rules|workflow|benchmarks|examples|docs|config)/[\w./-]+\.\w+)`", text)
        # CONTRIBUTING says where a kind called "mine" would go.
        gone += [f"{page.name}: {path}" for path in paths if "mine" not in path and not (ROOT / path).exists()]
        for dotted in re.findall(r"`regionflow\.([a-z_.]+[a-z_])", text):
            if not _is_there(dotted.split(".")):
                gone.append(f"{page.name}: regionflow.{dotted}")
    assert gone == []


def _is_there(parts: list[str]) -> bool:
    """Whether a dotted name below regionflow begins with a module, or is part of the public face."""
    place = ROOT / "src/regionflow"
    while parts and (place / parts[0]).is_dir():
        place, parts = place / parts[0], parts[1:]
    return not parts or (place / f"{parts[0]}.py").exists() or parts[0] in regionflow.__all__


def test_the_public_face_is_complete():
    assert all(getattr(regionflow, name) for name in regionflow.__all__)
    assert regionflow.__all__ == sorted(regionflow.__all__)
