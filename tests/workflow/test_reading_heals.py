"""A lost or damaged file in the middle: the advice that is given is true, and the results are those of a clean run."""

import os
from pathlib import Path

from helpers.digest import digests
from helpers.signed import change_json
from helpers.workflow import Workspace

VARIANT = "daisy_lab/default"


def flip(path: Path) -> None:
    """Change one bit in the middle of a file and nothing of its times."""
    times, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_lost_and_truncated_files_are_remade_by_a_plain_run(workspace: Workspace) -> None:
    before = digests(workspace.folder)
    features = workspace.path("results/features/daisy_lab/one.h5")
    with features.open("r+b") as file:
        file.truncate(len(features.read_bytes()) // 2)
    lost = [f"results/pooled/{VARIANT}/wide.h5", "results/superpixels/slic/wide.json"]
    lost += [f"results/labels/{VARIANT}/wide.json", f"results/clusters/{VARIANT}/centroids.h5"]
    for name in lost:
        workspace.path(name).unlink()
    failed = workspace.snakemake(ok=False)
    assert failed.code != 0
    assert "results/features/daisy_lab/one.h5: not a whole feature file of this project, or damaged" in failed.output
    assert "delete it and run again" in failed.output
    features.unlink()
    workspace.snakemake()
    assert digests(workspace.folder) == before
    assert not workspace.snakemake("-n").jobs()


def test_damage_that_no_time_shows_is_found_by_verify_and_remade(workspace: Workspace) -> None:
    before = digests(workspace.folder)
    damaged = ["features/daisy_lab/one.h5", "regions/default/wide.json", f"pooled/{VARIANT}/one.h5"]
    damaged += [f"labels/{VARIANT}/wide.png", f"pooled/{VARIANT}.h5", f"report/{VARIANT}/overlays/one.jpg"]
    damaged += [f"report/{VARIANT}/contact_sheet.jpg", "images.tsv", "problems.tsv"]
    for name in damaged:
        flip(workspace.path(f"results/{name}"))
    other = workspace.path("results/masks/merge_tree/one.json")  # as other options would have made it
    times = other.stat()
    change_json(other, lambda content: content["annotations"].pop())
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    checked = workspace.snakemake("verify")
    for name in [*damaged, "masks/merge_tree/one.json"]:
        assert f"results/{name}: " in checked.output
        assert not workspace.path(f"results/{name}").exists()
    assert f"{len(damaged) + 1} unsound, {len(damaged) + 1} removed; run snakemake again" in checked.output
    workspace.snakemake()
    table = "results/images.tsv"  # it tells when images were changed, which a copy of this run cannot know
    assert {**digests(workspace.folder), table: ""} == {**before, table: ""}
    assert "0 unsound, 0 removed" in workspace.snakemake("verify").output
