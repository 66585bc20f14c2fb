"""The command line gives the files of the rules."""

import csv
import json

import cv2
import h5py
import numpy as np
import pytest

from helpers.scenes import save_photos
from regionflow.cli import main
from regionflow.formats import rle
from regionflow.formats.regions import masks_of, read_regions


def test_a_folder_gives_the_files_that_the_rules_gave(finished, tmp_path):
    workspace, _ = finished
    for stage, folder, suffix in (("masks", "masks/merge_tree", "json"), ("superpixels", "superpixels/slic", "png")):
        main([stage, str(workspace.path("photos")), "--out", str(tmp_path / stage)])
        made = sorted(p.relative_to(tmp_path / stage / folder) for p in (tmp_path / stage).rglob(f"*.{suffix}"))
        assert len(made) == 4
        for name in made:
            ours, rule = tmp_path / stage / folder / name, workspace.path(f"results/{folder}/{name}")
            assert ours.read_bytes() == rule.read_bytes()


def test_one_image_and_a_configuration(finished, tmp_path):
    (tmp_path / "c.yaml").write_text("superpixels: {slic: {n_segments: 9}}")
    photo = finished[0].path("photos/one.png")
    main(["superpixels", str(photo), "--out", str(tmp_path), "--config", str(tmp_path / "c.yaml")])
    assert len(json.loads((tmp_path / "superpixels/slic/one.json").read_text())["annotations"]) < 20
    main(["features", str(photo), "--out", str(tmp_path)])
    with (
        h5py.File(tmp_path / "features/daisy_lab/one.h5") as file,
        h5py.File(finished[0].path("results/features/daisy_lab/one.h5")) as rule,
    ):
        assert (file["features"][:] == rule["features"][:]).all()


@pytest.mark.parametrize("form", ["png", "json"])
def test_mask_files_in_the_forms_of_amg(finished, tmp_path, form):
    masks = finished[0].path("results/masks/merge_tree")
    main(["amg", str(masks), "--out", str(tmp_path), "--form", form])
    with (tmp_path / "masks.csv").open() as file:
        rows = list(csv.DictReader(file))
    files = sorted(masks.rglob("*.json"))
    assert [r["image"] for r in rows] == [f.relative_to(masks).with_suffix("").as_posix() for f in files]
    for row, path in zip(rows, files, strict=True):
        file = read_regions(path)
        decoded = [rle.decode(m) for m in masks_of(file)]
        assert int(row["masks"]) == len(decoded)
        covered = np.any(decoded, axis=0).mean() if decoded else 0
        assert float(row["coverage"]) == pytest.approx(covered, abs=1e-6)
        if form == "json":
            again = [a["segmentation"] for a in json.loads((tmp_path / f"{row['image']}.json").read_text())]
            assert again == [a["segmentation"] for a in file.annotations]
            continue
        pictures = [cv2.imread(str(tmp_path / row["image"] / f"{i}.png"), 0) for i in range(len(decoded))]
        assert all(np.array_equal(p, 255 * m) for p, m in zip(pictures, decoded, strict=True))
        for table in ("metadata", "parents"):
            assert len((tmp_path / row["image"] / f"{table}.csv").read_text().splitlines()) == 1 + len(decoded)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["masks", "nothing", "--out", "o"], "nothing: no such file"),
        (["masks", "photos", "--out", "o", "--variant", "sma"], "'sma' is not declared under segmenters"),
        (["masks", "photos", "--out", "o", "--config", "none.yaml"], "none.yaml: no such file"),
        (["amg", "photos", "--out", "o"], "photos holds no mask file"),
        (["amg", "photos/a.png", "--out", "o"], "a.png"),
    ],
)
def test_mistakes_end_with_a_message(tmp_path, monkeypatch, arguments, message):
    save_photos(tmp_path / "photos", ["a.png"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert message in str(end.value)
    assert not (tmp_path / "o").exists()
