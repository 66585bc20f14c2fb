"""Commands of Snakemake as the documents give them: each is run, and none wants arguments that it has no use for."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

from helpers.scenes import save_photos
from helpers.workflow import ROOT, Workspace
from regionflow.run.stages import STAGES

MASKS = STAGES["masks"].default
TRUTH = "--config truth='{type: label_maps, dir: photos, values: classes}'"
TREE = "--config parts='{teacher: {segmenter: merge_tree}}'"
DOCUMENTS = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What each documented command becomes over two small photos; None: why it is not run here.
COMMANDS = {
    "snakemake --cores 16 --resources gpu=4": "snakemake --cores 16 --resources gpu=4 -n",
    "snakemake -n": "snakemake -n",
    "snakemake --executor local --scheduler greedy": "snakemake --executor local --scheduler greedy --cores 1 -n",
    "snakemake -n -q rules": "snakemake -n -q rules",
    "snakemake --cores all -s ../regionflow/Snakefile --directory . --configfile my.yaml": (
        "snakemake --cores all --directory . --configfile my.yaml -n"
    ),
    "snakemake --cores 4 results/regions/default/holiday/IMG_0042.json": (
        "snakemake --cores 4 results/regions/default/holiday/b.json"
    ),
    "snakemake --cores all report": "snakemake --cores all report -n",
    "snakemake --cores all export": "snakemake --cores all export -n",
    "snakemake --cores all --configfile config/presets/alps.yaml --config images='{dir: my_images}'": (
        f"snakemake --cores all --configfile {ROOT}/config/presets/alps.yaml --config images='{{dir: photos}}' -n"
    ),
    "snakemake --cores all --configfile my.yaml": "snakemake --cores all --configfile my.yaml -n",
    "snakemake --cores all --config clusters='{k: 46}'": "snakemake --cores all --config clusters='{k: 46}' -n",
    "snakemake --cores all --config report='{contact_sheet_images: 3}'": (
        "snakemake --cores all --config report='{contact_sheet_images: 3}' -n"
    ),
    "snakemake --cores 16": "snakemake --cores 16 -n",
    "snakemake -n --cores 16": "snakemake -n --cores 16",
    "snakemake -n -p --cores 16": "snakemake -n -p --cores 16",
    "snakemake --cores 16 --config 'runtime={shard_images: 300}'": (
        "snakemake --cores 16 --config 'runtime={shard_images: 1}' -n"
    ),
    "snakemake results/regions/default/dog.json": "snakemake results/regions/default/a.json -n",
    "snakemake --delete-temp-output": "snakemake --delete-temp-output",
    "snakemake --unlock": "snakemake --unlock",
    "snakemake --cores 4 verify": "snakemake --cores 4 verify",
    "snakemake --cores all verify": "snakemake --cores all verify -n",
    "regionflow verify results --keep": "regionflow verify results --keep",
    "snakemake --cores 1 prune": "snakemake --cores 1 prune",
    "snakemake prune -n": "snakemake prune -n",
    "snakemake --cores 4 evaluate": f"snakemake --cores 4 {TRUTH} -n -- evaluate",
    "snakemake --cores all evaluate": f"snakemake --cores all {TRUTH} -n -- evaluate",
    "snakemake --cores all parts": f"snakemake --cores all {TREE} -n -- parts",
    "snakemake --cores all report parts": f"snakemake --cores all {TREE} -n -- report parts",
    "snakemake --cores 16 --resources gpu=1 --configfile config/presets/part_whole.yaml "
    "--config images='{dir: imagenette2, split_from: folder}' -- parts": (
        f"snakemake --cores 16 --resources gpu=1 --configfile {ROOT}/config/presets/part_whole.yaml "
        "--config images='{dir: photos, split_from: folder}' -n -- parts"
    ),
    "snakemake --cores 1 weights/seem_focall_v0.pt": "snakemake --cores 1 weights/seem_focall_v0.pt -n",
    "regionflow scenes DIR --count 100": "regionflow scenes drawn --count 2",
    "regionflow masks photo.jpg --out out": "regionflow masks photos/a.png --out out",
    "regionflow list": "regionflow list",
    "regionflow completion bash": "regionflow completion bash",
    "regionflow --help": "regionflow --help",
    "regionflow amg results/masks/sam_vit_h --out DIR --form png": (
        f"regionflow amg out/masks/{MASKS} --out D --form png"
    ),
}
# The Makefile's own targets; minutes of measuring; how the client is started; what wants a finished run: see below.
ELSEWHERE = ("make", "python benchmarks", "python -I -S", "snakemake --report", "regionflow search",
             "regionflow compare", "regionflow COMMAND", "snakemake --generate-unit-tests",
             "snakemake --archive", "snakemake --containerize", "snakemake --workflow-profile profiles/slurm",
             "snakemake -n --workflow-profile profiles/slurm")  # fmt: skip
MORE = ["--detailed-summary", "--rulegraph", "--filegraph", "--list-changes=code", "--list-changes=params",
        "--list-rules", "--list-target-rules", "--delete-all-output --dry-run"]  # fmt: skip
WITHOUT_CORES = ["--unlock", "--summary", "--dag", *(pytest.param(option, marks=pytest.mark.slow) for option in MORE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two photos and a configuration, which stands for a checkout."""
    folder = tmp_path_factory.mktemp("commands")
    save_photos(folder / "photos", ["a.png", "holiday/b.png"])
    (folder / "config").mkdir()
    (folder / "results").mkdir()
    for name in ("config/config.yaml", "my.yaml"):
        (folder / name).write_text(yaml.safe_dump({"images": {"dir": "photos"}, "clusters": {"k": 4}}))
    return folder


def run(folder: Path, command: str) -> subprocess.CompletedProcess:
    """Run a command line as if `folder` were the checkout."""
    program, *arguments = shlex.split(command)
    module = {"snakemake": ["snakemake", "-s", str(ROOT / "Snakefile")], "regionflow": ["regionflow"]}[program]
    start = [sys.executable, "-m", *module] if program == "snakemake" else [sys.executable, "-c", MAIN]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*start, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


MAIN = "from regionflow.cli import main; main()"


def documented() -> set[str]:
    """Every command line in the documents, without comments."""
    found = set()
    for path in DOCUMENTS:
        text = path.read_text().replace("\\\n", " ")
        lines = [*re.findall(r"^    (.+)$", text, re.MULTILINE), *re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text)]
        for line in lines:
            for part in re.split(r"; do |; done|;", " ".join(line.split())):
                command = part.split(" #")[0].strip()
                if re.match(r"(snakemake|regionflow|make|python) [-\w]", command):
                    found.add(command)
    return found


def test_every_documented_command_is_in_the_list():
    unknown = {c for c in documented() if not c.startswith(ELSEWHERE)} - COMMANDS.keys()
    assert not unknown, "a document names a command that no test runs: add it to COMMANDS"


@pytest.mark.parametrize(("profile", "executor"), [("slurm", "slurm"), ("slurm-generic", "cluster-generic")])
def test_the_documented_commands_of_a_cluster_submit(profile, executor, monkeypatch):
    pytest.importorskip(f"snakemake_executor_plugin_{executor.replace('-', '_')}")
    commands = [command for command in documented() if command.endswith(f" profiles/{profile}")]
    assert commands
    monkeypatch.chdir(ROOT)  # where profiles/default is found as well
    for command in commands:
        _, arguments = parse_args(shlex.split(command)[1:])
        assert arguments.executor == executor, command


@pytest.mark.parametrize("command", list(COMMANDS))
def test_documented_commands_run(folder, command):
    done = run(folder, COMMANDS[command])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", WITHOUT_CORES)
def test_commands_that_run_nothing_need_no_cores(folder, option):
    done = run(folder, f"snakemake {option}")
    assert done.returncode == 0, done.stdout + done.stderr
    if option in ("--dag", "--rulegraph", "--filegraph"):
        assert done.stdout.startswith("digraph")


def test_numbers_booleans_and_null_of_the_command_line(folder):
    values = "clusters='{k: 46, tolerance: 1e-4, as_published: true, fit_splits: null, model: null}'"
    done = run(folder, f"snakemake -n -p --cores 1 --config {values} runtime='{{warm: false}}'")
    assert done.returncode == 0, done.stderr
    assert '"k":46' in done.stdout + done.stderr and '"as_published":true' in done.stdout + done.stderr
    assert "a cold process for each job" in done.stdout + done.stderr
    typed = {"k": 46, "tolerance": 1e-4, "as_published": True}
    config = {"images": {"dir": "photos"}, "clusters": typed, "runtime": {"warm": False}}
    (folder / "typed.yaml").write_text(yaml.safe_dump(config))
    same = run(folder, "snakemake -n -p --cores 1 --configfile typed.yaml")
    options = [set(re.findall(r'"options":\{.*?\},"outputs"', text.stdout)) for text in (done, same)]
    assert options[0] and options[0] == options[1]


def test_all_kinds_of_mistakes_are_told_in_one_round(folder):
    done = run(
        folder,
        "snakemake -n --cores 1 --config clusters='{k: x, seed: 4294967296, tolerance: .inf}' images='{dir: nowhere}'"
        " runtime='{device: cuda}' targets='{extractors: [sam_vit_b, daisylab], regions: [sam_slic]}'"
        " segmenters='{sam_vit_h: {checkpoint: no.pth}}'",
    )
    assert done.returncode == 1
    for line in (
        "clusters.k: Input should be a valid integer, not 'x'",
        "clusters.seed: Input should be less than or equal to 4294967295",
        "clusters.tolerance: Input should be a finite number, not inf",
        "'daisylab' is not declared under extractors; did you mean daisy_lab?",
        "images.dir: nowhere",
        "segmenters.sam_vit_h.checkpoint: no.pth is not there",
        "runtime.device is cuda",
    ):
        assert line in done.stdout, f"{line!r} not in {done.stdout}"


MODULE = """
module regionflow:
    snakefile: "{root}/Snakefile"
    config: {{"images": {{"dir": "photos"}}, "clusters": {{"k": 4}}, "runtime": {{"shard_images": 1}}}}
    prefix: "projects/first"

use rule * from regionflow as regionflow_*

rule everything:
    default_target: True
    input: rules.regionflow_all.input, rules.regionflow_export.input, rules.regionflow_report.input
"""


def in_module(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run a workflow that uses ours as a module with a prefix over two photos."""
    save_photos(folder / "photos", ["a.png", "holiday/b.png"])
    (folder / "Snakefile").write_text(MODULE.format(root=ROOT))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_a_module_with_prefix_is_planned(tmp_path):
    planned = in_module(tmp_path, "-n")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    outputs = re.findall(r"^    output: (.*)$", planned.stdout, re.MULTILINE)
    assert len(outputs) > 20
    assert all(path.startswith("projects/first/results/") for line in outputs for path in line.split(", "))
    assert "projects/first/projects" not in planned.stdout
    assert "not in shards, since it is a module of another workflow" in planned.stdout


# In COCO files, relative to them: a module with prefix lies deeper.
_ROOT_OF_IMAGES = re.compile(rb'"images_root":"(\.\./)+photos"')


@pytest.mark.slow
def test_a_module_with_prefix_makes_the_same_files(tmp_path):
    inside = in_module(tmp_path / "module")
    assert inside.returncode == 0, inside.stdout + inside.stderr
    assert not (tmp_path / "module/results").exists()
    plain = Workspace(tmp_path / "plain", {"images": {"dir": "photos"}, "clusters": {"k": 4}})
    save_photos(plain.path("photos"), ["a.png", "holiday/b.png"])
    plain.snakemake("all", "export", "report")
    plain.snakemake("all", "report", "--report")
    report = plain.path("report.html").read_text()
    assert "A folder of images as a region-level data set" in report
    assert "pooled over regions of kind" in report and "The figures of every variant" in report
    assert '"extractor": "daisy_lab"' in report and '"page": "all variants"' in report
    made = {p.relative_to(plain.path("results")) for p in plain.path("results").rglob("*.*")}
    prefixed = tmp_path / "module/projects/first/results"
    assert {p.relative_to(prefixed) for p in prefixed.rglob("*.*")} == made
    for name in made:
        if name.suffix in (".json", ".png", ".csv"):
            there, here = ((root / name).read_bytes() for root in (prefixed, plain.path("results")))
            assert _ROOT_OF_IMAGES.sub(b"", there) == _ROOT_OF_IMAGES.sub(b"", here), name
