"""Labels of a whole run: frozen centres, several numbers of clusters, splits, equal labels however they were run."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest

from helpers.scenes import save_photos
from helpers.workflow import Workspace

VARIANT = "daisy_lab/default"
CENTRES = f"results/clusters/{VARIANT}/centroids.h5"


def labels(workspace):
    folder = workspace.path(f"results/labels/{VARIANT}")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def freeze(workspace):
    shutil.copy(workspace.path(CENTRES), workspace.path("model.h5"))
    workspace.config = {**workspace.config, "clusters": {"k": 4, "model": "model.h5"}}


def test_with_frozen_centres_an_added_photo_runs_its_own_chain_and_no_other(workspace):
    before = labels(workspace)
    freeze(workspace)
    workspace.snakemake()
    assert labels(workspace) == before
    save_photos(workspace.path("photos"), ["added.png"])
    run = workspace.snakemake("-n")
    per_image = dict.fromkeys(("features", "masks", "superpixels", "regions", "pooled", "labels", "overlay"), 1)
    tables = dict.fromkeys(("images", "problems", "pooled_set", "contact_sheet"), 1)
    assert run.jobs() == per_image | tables
    workspace.snakemake()
    assert {name: data for name, data in labels(workspace).items() if "added" not in name} == before
    assert len(labels(workspace)) == len(before) + 2


def test_other_frozen_centres_relabel_and_another_time_of_the_file_does_not(workspace):
    freeze(workspace)
    workspace.snakemake()
    workspace.path("model.h5").touch()
    assert "Nothing to be done" in workspace.snakemake("-n").output
    with h5py.File(workspace.path("model.h5"), "r+") as file:
        file["centroids"][...] += 1
    jobs = workspace.snakemake("-n").jobs()
    assert jobs == {"labels": 4, "overlay": 4, "contact_sheet": 1}


def test_frozen_centres_that_are_not_there_are_told_before_any_job(workspace):
    workspace.config = {**workspace.config, "clusters": {"model": "models/{extractor}.h5"}}
    run = workspace.snakemake(ok=False)
    assert run.code != 0
    assert "clusters.model: models/daisy_lab.h5 is not there" in run.output


def test_several_k_are_compared_and_the_labels_are_of_the_first(workspace):
    before = labels(workspace)
    workspace.config = {**workspace.config, "clusters": {"k": [4, 2, 8]}}
    assert workspace.snakemake("-n").jobs() == {"clusters_of_other_k": 2, "comparison": 1}
    workspace.snakemake()
    assert labels(workspace) == before
    with workspace.path(f"results/clusters/{VARIANT}/comparison.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["k"] for row in rows] == ["2", "4", "8"]
    inertia = [float(row["inertia"]) for row in rows]
    assert inertia == sorted(inertia, reverse=True)


def test_a_set_with_a_train_split_is_fitted_to_it_alone(workspace):
    table = "id\tpath\tsplit\none\tphotos/one.png\ttrain\nwide\tphotos/wide.png\tval\n"
    workspace.path("set.tsv").write_text(table)
    workspace.config = {"images": {"table": "set.tsv"}, "clusters": {"k": 3}}
    workspace.snakemake()
    with h5py.File(workspace.path(CENTRES)) as file:
        fitted = int(file.attrs["regions"])
    train, val = (
        json.loads(workspace.path(f"results/labels/{VARIANT}/{image}.json").read_text()) for image in ("one", "wide")
    )
    assert fitted == len(train["regions"])
    assert {row["cluster"] for row in val["regions"]} <= {0, 1, 2}
    workspace.config = {"images": {"table": "set.tsv"}, "clusters": {"k": 3, "fit_splits": ["train", "val"]}}
    assert workspace.snakemake("-n").jobs()["clusters"] == 1
    workspace.snakemake(CENTRES)
    with h5py.File(workspace.path(CENTRES)) as file:
        assert int(file.attrs["regions"]) == len(train["regions"]) + len(val["regions"])


@pytest.mark.parametrize("cores", [1, 4])
def test_labels_do_not_depend_on_cores_or_on_a_resumed_run(finished, tmp_path, cores):
    original, _ = finished
    other = Workspace(tmp_path / "other", original.config)
    shutil.copytree(original.path("photos"), other.path("photos"))
    # Half of it first, in an order of its own.
    other.snakemake(f"results/pooled/{VARIANT}/wide.h5", "results/masks/merge_tree/one.json", cores=cores)
    other.snakemake(cores=cores)
    assert labels(other) == labels(original)
    with h5py.File(original.path(CENTRES)) as first, h5py.File(other.path(CENTRES)) as second:
        assert np.array_equal(first["centroids"][:], second["centroids"][:])


def test_covered_shares_are_those_of_the_pixels(finished):
    workspace, _ = finished
    for image in ("one", "wide"):
        table = json.loads(workspace.path(f"results/labels/{VARIANT}/{image}.json").read_text())
        regions = json.loads(workspace.path(f"results/regions/default/{image}.json").read_text())
        size = regions["image"]["height"] * regions["image"]["width"]
        added = sum(a["area"] for a in regions["annotations"] if a["source"] == "slic")
        # What superpixels add overlaps nothing.
        assert table["covered"]["regions"] - table["covered"]["masks"] == pytest.approx(added / size, abs=2e-6)
        assert 0 < table["covered"]["masks"] <= table["covered"]["regions"] <= 1
