"""The command line gives the files of the rules."""

import json

import h5py
import pytest

from helpers.scenes import save_photos
from regionflow.cli import main


def test_a_folder_gives_the_files_that_the_rules_gave(finished, tmp_path):
    workspace, _ = finished
    for stage, folder, suffix in (("masks", "masks/graph", "json"), ("superpixels", "superpixels/slic", "png")):
        main([stage, str(workspace.path("photos")), "--out", str(tmp_path / stage)])
        made = sorted(p.relative_to(tmp_path / stage) for p in (tmp_path / stage).rglob(f"*.{suffix}"))
        assert len(made) == 4
        for name in made:
            assert (tmp_path / stage / name).read_bytes() == workspace.path(f"results/{folder}/{name}").read_bytes()


def test_one_image_and_a_configuration(finished, tmp_path):
    (tmp_path / "c.yaml").write_text("superpixels: {slic: {n_segments: 9}}")
    photo = finished[0].path("photos/one.png")
    main(["superpixels", str(photo), "--out", str(tmp_path), "--config", str(tmp_path / "c.yaml")])
    assert len(json.loads((tmp_path / "one.json").read_text())["annotations"]) < 20
    main(["features", str(photo), "--out", str(tmp_path)])
    with (
        h5py.File(tmp_path / "one.h5") as file,
        h5py.File(finished[0].path("results/features/daisy_lab/one.h5")) as rule,
    ):
        assert (file["features"][:] == rule["features"][:]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["masks", "nothing", "--out", "o"], "nothing is not a folder"),
        (["masks", "photos", "--out", "o", "--variant", "sma"], "'sma' is not declared under segmenters"),
        (["masks", "photos", "--out", "o", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_mistakes_end_with_a_message(tmp_path, monkeypatch, arguments, message):
    save_photos(tmp_path / "photos", ["a.png"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert message in str(end.value)
    assert not (tmp_path / "o").exists()
