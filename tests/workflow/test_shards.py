"""A run in shards makes the files of one that is not, remakes as little, and finds what is stale or missing."""

import re
import shutil
from pathlib import Path

import pytest

from helpers.digest import digests
from helpers.scenes import save_photos
from helpers.workflow import Run, Workspace

VARIANT = "daisy_lab/default"
PHOTOS = [f"{'sub/' * (number % 3 == 0)}{number:02d}.png" for number in range(7)]
CONFIG = {"images": {"dir": "photos"}, "clusters": {"k": 4}}
SHARDS = 2  # of 7 images, of which a shard may have 4


def in_shards(workspace: Workspace, *arguments: str, ok: bool = True, **runtime: object) -> Run:
    settings = {"shard_images": 4, **runtime}
    return Workspace(workspace.folder, {**workspace.config, "runtime": settings}).snakemake(*arguments, ok=ok)


def remade(workspace: Workspace) -> set[str]:
    """The rules that the inner runs of the last run have run."""
    ran = set()
    for log in workspace.path("logs/shards").rglob("*.log"):
        table = log.read_text().partition("Job stats:\n")[2].partition("\ntotal")[0]
        ran |= {line.split()[0] for line in table.splitlines()[2:] if line.split()}
        log.unlink()
    return ran - {"wanted"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace, Run]:
    """The same photos without shards and in shards, and what the latter run has said."""
    whole = Workspace(tmp_path_factory.mktemp("whole"), CONFIG)
    save_photos(whole.path("photos"), PHOTOS)
    shards = Workspace(tmp_path_factory.mktemp("parent") / "shards", CONFIG)
    shutil.copytree(whole.folder, shards.folder, dirs_exist_ok=True)  # images.tsv tells when a file was modified
    whole.snakemake()
    return whole, shards, in_shards(shards)


@pytest.fixture
def workspace(runs: tuple[Workspace, Workspace, Run], tmp_path: Path) -> Workspace:
    """A copy of the finished run in shards."""
    shutil.copytree(runs[1].folder, tmp_path / "copy")
    copy = Workspace(tmp_path / "copy", CONFIG)
    shutil.rmtree(copy.path("logs/shards"))
    return copy


def results(workspace: Workspace) -> dict[str, str]:
    return {name: digest for name, digest in digests(workspace.folder).items() if "shards/" not in name}


def test_all_files_are_those_of_a_run_that_is_not_in_shards(runs: tuple[Workspace, Workspace, Run]) -> None:
    whole, shards, _ = runs
    assert results(shards) == results(whole)


def test_the_run_says_what_it_is_and_where_the_results_are_once(runs: tuple[Workspace, Workspace, Run]) -> None:
    output = runs[2].output
    assert f"7 images in {SHARDS} shard(s) of about 4" in output
    assert output.count("regionflow: look at") == 1
    assert output.count("all images could be read") == 1
    assert f"results/report/{VARIANT}/contact_sheet.jpg" in output
    assert output.count("jobs, 0 failed; images: 7/7 to pooled, 7/7 to overlay") == 1


def test_what_a_run_in_shards_has_made_is_up_to_date_without(workspace: Workspace) -> None:
    assert "Nothing to be done" in in_shards(workspace, "-n").output
    assert "Nothing to be done" in workspace.snakemake("-n").output


@pytest.mark.slow
def test_switching_shards_off_and_on_remakes_nothing(runs: tuple[Workspace, Workspace, Run], tmp_path: Path) -> None:
    shutil.copytree(runs[0].folder, tmp_path / "whole")
    whole = Workspace(tmp_path / "whole", CONFIG)
    before = {path: path.stat().st_mtime_ns for path in whole.path("results").rglob("*") if path.is_file()}
    in_shards(whole)
    assert remade(whole) == set()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "Nothing to be done" in in_shards(whole, "-n").output
    assert "Nothing to be done" in whole.snakemake("-n").output


def test_a_dry_run_tells_shards_and_images(workspace: Workspace) -> None:
    run = in_shards(workspace, "-n", "--forceall")
    assert run.jobs() == {"images": 1, "problems": 1, "shard": 2 * SHARDS, "shard_set": 2}
    assert "images: features, masks, pooled, regions, superpixels" in run.output
    assert "the whole set, 7 images: clusters, pooled_set" in run.output
    told = run.output.partition("Job stats:")[0]
    assert f"regionflow: {SHARDS} of {SHARDS} shard(s) would be looked after; to be made:" in told
    assert re.search(r"^  masks +at most 7 image\(s\)$", told, re.MULTILINE)
    assert re.search(r"^  clusters +at most the whole set$", told, re.MULTILINE)


def test_with_the_commands_a_dry_run_counts_the_images_of_each_stage(workspace: Workspace) -> None:
    workspace.path("results/masks/merge_tree/01.json").unlink()
    for_rules = ["--set-threads", "masks=2", "--set-resources", "masks:mem_mb=99", "--max-threads", "2"]
    run = in_shards(workspace, "-n", "-p", *for_rules)
    assert " ".join(for_rules) in run.output
    told = run.output.partition("Job stats:")[0]
    assert re.search(r"^  masks +1 image\(s\)$", told, re.MULTILINE)
    assert "features" not in told.partition("would be looked after")[2]
    # What hangs on the fit cannot be planned before that is made again.
    assert re.search(r"^  labels +at most 7 image\(s\)$", told, re.MULTILINE)


@pytest.mark.slow
def test_an_option_remakes_what_hangs_on_it_in_every_shard(workspace: Workspace) -> None:
    workspace.config = {**CONFIG, "superpixels": {"slic": {"compactness": 20.0}}}
    plain = set(workspace.snakemake("-n").jobs())
    assert in_shards(workspace, "-n").jobs() == {"shard": 2 * SHARDS, "shard_set": 2}
    in_shards(workspace)
    assert remade(workspace) == plain
    assert "features" not in plain
    assert "Nothing to be done" in in_shards(workspace, "-n").output
    assert "Nothing to be done" in workspace.snakemake("-n").output


def test_an_option_of_the_pictures_leaves_the_first_phase_alone(workspace: Workspace) -> None:
    workspace.config = {**CONFIG, "report": {"contact_sheet_images": 3}}
    assert in_shards(workspace, "-n").jobs() == {"shard_set": 1}
    workspace.config = {**CONFIG, "report": {"max_side": 100}}
    assert in_shards(workspace, "-n").jobs() == {"shard": SHARDS, "shard_set": 1}


@pytest.mark.slow
def test_a_new_image_runs_its_shard_and_what_hangs_on_the_fit(workspace: Workspace) -> None:
    save_photos(workspace.path("photos"), ["added.png"])
    jobs = in_shards(workspace, "-n").jobs()
    assert jobs == {"images": 1, "problems": 1, "shard": 1 + SHARDS, "shard_set": 2}
    in_shards(workspace)
    assert "Nothing to be done" in workspace.snakemake("-n").output
    assert workspace.path("results/masks/merge_tree/added.json").is_file()
    workspace.path("photos/added.png").unlink()
    assert in_shards(workspace, "-n").jobs() == jobs


@pytest.mark.slow
def test_a_removed_or_changed_file_is_remade(workspace: Workspace) -> None:
    before = results(workspace)
    workspace.path("results/superpixels/slic/01.png").unlink()
    workspace.path(f"results/report/{VARIANT}/overlays/02.jpg").write_bytes(b"damaged")
    assert "Nothing to be done" in in_shards(workspace, "-n", check_files=False).output
    run = in_shards(workspace, "-n")
    assert "shard(s) have other images or files than earlier runs have left" in run.output
    workspace.path(f"results/report/{VARIANT}/overlays/02.jpg").unlink()
    in_shards(workspace)
    assert results(workspace) == before
    assert "Nothing to be done" in in_shards(workspace, "-n").output


def test_a_file_of_one_image_needs_just_its_chain(workspace: Workspace) -> None:
    run = in_shards(workspace, "-n", "--forceall", "results/regions/default/01.json")
    assert run.jobs() == {"masks": 1, "superpixels": 1, "regions": 1}
    file = f"results/labels/{VARIANT}/01.png"
    workspace.path(file).unlink()
    in_shards(workspace, file)
    assert workspace.path(file).is_file()
    assert remade(workspace) == {"labels"}


@pytest.mark.slow
def test_every_target_has_its_phases(workspace: Workspace) -> None:
    whole = Workspace(workspace.folder, CONFIG)
    for targets in (["export"], ["report"], [f"results/pooled/{VARIANT}.h5"]):
        in_shards(workspace, *targets)
        assert "Nothing to be done" in whole.snakemake("-n", *targets).output
        assert "Nothing to be done" in in_shards(workspace, "-n", *targets).output


def told(run: Run) -> str:
    """What a dry run tells before the jobs of the outer run."""
    return run.output.partition("Job stats:")[0].partition("would be looked after")[2]


@pytest.mark.parametrize(
    ("arguments", "jobs", "images"),
    [
        pytest.param(
            ["-R", "labels"],
            {"shard": SHARDS, "shard_set": 1},
            {"labels": 7, "overlay": 7},
            marks=pytest.mark.slow,
        ),
        (["-R", f"results/labels/{VARIANT}/01.png"], {"shard": 1, "shard_set": 1}, {"labels": 1, "overlay": 1}),
        pytest.param(["-f", f"results/pooled/{VARIANT}.h5"], {"shard_set": 1}, {}, marks=pytest.mark.slow),
        pytest.param(["-f", "results/images.tsv"], {"images": 1}, {}, marks=pytest.mark.slow),
        pytest.param(["-f", "all"], {}, {}, marks=pytest.mark.slow),
        pytest.param(["-R", "report_index"], {"shard_set": 1}, {}, marks=pytest.mark.slow),
    ],
)
def test_what_is_forced_is_made_again_and_nothing_else(
    workspace: Workspace, arguments: list[str], jobs: dict[str, int], images: dict[str, int]
) -> None:
    run = in_shards(workspace, "-n", "-p", *arguments)
    assert run.jobs() == jobs
    counted = re.findall(r"^  (\w+) +(\d+) image\(s\)$", told(run), re.MULTILINE)
    assert {rule: int(number) for rule, number in counted} == images


@pytest.mark.slow
def test_a_forced_file_is_made_again(workspace: Workspace) -> None:
    for file in (f"results/labels/{VARIANT}/01.png", f"results/pooled/{VARIANT}.h5"):
        others = [f"results/labels/{VARIANT}/02.png", f"results/pooled/{VARIANT}/01.h5"]
        before = {path: workspace.path(path).stat().st_mtime_ns for path in (file, *others)}
        in_shards(workspace, "-f", file)
        after = {path: workspace.path(path).stat().st_mtime_ns for path in before}
        assert {path for path in before if after[path] != before[path]} == {file}


def test_a_cluster_is_asked_for_what_the_images_need(workspace: Workspace) -> None:
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    cluster = ["--workflow-profile", "none", "--executor", "cluster-generic", "--jobs", "2"]
    cluster += ["--cluster-generic-submit-cmd", "true", "--set-threads", "shard=8"]
    run = in_shards(workspace, "-n", "--forceall", *cluster)
    asked = re.findall(r"shard \w, \d images: features.* \((\d+) cores, (\d+) MB, (\d+) minutes\)", run.output)
    assert len(asked) == SHARDS
    assert all(cores == "8" and int(mib) > 8 * 2000 and int(minutes) >= 11 for cores, mib, minutes in asked)
    assert re.search(r"the whole set, 7 images: clusters.*, \d{4} MB, \d+ minutes\)", run.output)


@pytest.mark.slow
def test_the_number_of_jobs_on_one_machine_is_no_cluster(workspace: Workspace) -> None:
    assert "Nothing to be done" in workspace.snakemake("-n", "--jobs", "2").output


def test_commands_about_single_jobs_are_not_divided(workspace: Workspace) -> None:
    for option in ("--until", "--allowed-rules", "--prioritize"):
        output = in_shards(workspace, "-n", option, "masks", ok=option != "--allowed-rules").output
        assert f"not in shards, since {option} chooses among single jobs" in output
    assert "Target rules may not contain wildcards" in in_shards(workspace, "-n", "masks", ok=False).output
    assert "results/masks/merge_tree/01.json" in in_shards(workspace, "--summary").output


@pytest.mark.slow
def test_a_failure_in_a_shard_is_told_and_the_others_go_on(workspace: Workspace) -> None:
    workspace.path("photos/01.png").write_bytes(b"no image")
    workspace.config = {**CONFIG, "images": {"dir": "photos", "on_bad_image": "fail"}}
    run = in_shards(workspace, ok=False)
    assert run.code != 0
    assert "photos/01.png: " in run.output
    save_photos(workspace.path("photos"), ["01.png"])
    in_shards(workspace)
    assert "Nothing to be done" in workspace.snakemake("-n").output
