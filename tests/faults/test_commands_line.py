"""The command line: where it writes, what it refuses, and what it says."""

import json

import pytest

from helpers.scenes import save_photos
from regionflow import __version__
from regionflow.cli import main
from regionflow.run.stages import STAGES

MASKS = STAGES["masks"].default


@pytest.fixture
def photos(tmp_path, monkeypatch):
    save_photos(tmp_path / "photos", ["a.png", "holiday/b.png"])
    save_photos(tmp_path / "more", ["c.png", "a.png"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code != 0
    return str(end.value)


def test_stages_and_variants_never_meet_in_one_folder(photos, capsys):
    (photos / "c.yaml").write_text("segmenters: {fine: {type: graph, min_size: 9}}")
    main(["masks", "photos/a.png", "--out", "o"])
    main(["superpixels", "photos/a.png", "--out", "o"])
    main(["masks", "photos/a.png", "--out", "o", "--variant", "fine", "--config", "c.yaml"])
    written = [
        f"o/masks/{MASKS}/a.json",
        "o/superpixels/slic/a.png",
        "o/superpixels/slic/a.json",
        "o/masks/fine/a.json",
    ]
    assert capsys.readouterr().out.split() == written
    assert sorted(str(p) for p in (photos / "o").rglob("*.*")) == sorted(str(photos / p) for p in written)
    params = [json.loads((photos / f"o/masks/{name}/a.json").read_text())["generator"] for name in (MASKS, "fine")]
    assert params[0] != params[1]


def test_several_paths_are_one_run(photos, capsys):
    main(["superpixels", "photos", "more/c.png", "photos/a.png", "--out", "o"])
    assert {line for line in capsys.readouterr().out.split() if line.endswith("png")} == {
        f"o/superpixels/slic/{name}.png" for name in ("a", "holiday/b", "c")
    }


def test_an_output_that_is_there_is_replaced_only_if_asked(photos):
    main(["superpixels", "photos/a.png", "--out", "o"])
    path = photos / "o/superpixels/slic/a.json"
    path.write_text("mine")
    text = refused("superpixels", "photos", "--out", "o")
    assert "o/superpixels/slic/a.png and 1 more files are there already" in text and "--overwrite" in text
    assert path.read_text() == "mine" and not (photos / "o/superpixels/slic/holiday").exists()
    main(["superpixels", "photos", "--out", "o", "--overwrite"])
    assert json.loads(path.read_text())["annotations"]
    main(["masks", "photos", "--out", "o"])
    main(["amg", f"o/masks/{MASKS}", "--out", "amg"])
    assert "there already" in refused("amg", f"o/masks/{MASKS}", "--out", "amg")


def test_two_images_of_one_name_are_refused(photos):
    assert "more/a.png would both be 'a' in o" in refused("masks", "photos", "more/a.png", "--out", "o")
    assert not (photos / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["masks", "nix.png", "--out", "o"], "nix.png: no such file or folder"),
        (["masks", "photos", "nix", "--out", "o"], "nix: no such file or folder"),
        (["masks", "photos", "--out", "o", "--config", "nix.yaml"], "nix.yaml: no such file or folder"),
        (["masks", "photos", "--out", "o", "--config", "photos/a.png"], "photos/a.png: not YAML in UTF-8"),
        (["masks", "photos", "--out", "o", "--config", "text.yaml"], "text.yaml: holds str"),
        (["masks", "photos", "--out", "o", "--config", "wrong.yaml"], "clusters.k: "),
        (["masks", "photos", "--out", "o", "--variant", "grpah"], "did you mean graph?"),
        (["masks", "photos", "--out", "o", "--variant", "sam_vit_b"], "--cores 1 weights/sam_vit_b_01ec64.pth"),
        (["amg", "nix", "--out", "o"], "nix: no such file or folder"),
    ],
)  # fmt: skip
def test_mistakes_are_named_and_nothing_is_written(photos, arguments, message):
    (photos / "text.yaml").write_text("just words")
    (photos / "wrong.yaml").write_text("clusters: {k: 1}")
    assert message in refused(*arguments)
    assert not (photos / "o").exists()


def test_a_device_that_is_not_there_is_told_before_the_first_image(photos, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (photos / "c.yaml").write_text("runtime: {device: cuda}")
    text = refused("masks", "photos", "--out", "o", "--variant", "sam_tiny", "--config", "c.yaml")
    assert "runtime.device is cuda, but this machine has no NVIDIA card" in text


def test_a_folder_that_holds_outputs_is_searched_without_them(photos, capsys):
    main(["superpixels", "photos", "--out", "photos"])
    capsys.readouterr()
    main(["superpixels", "photos", "--out", "photos", "--overwrite"])
    assert len([line for line in capsys.readouterr().out.split() if line.endswith("png")]) == 2


def test_an_output_folder_that_cannot_be_made_is_named(photos):
    (photos / "file").write_text("")
    assert "file" in refused("superpixels", "photos/a.png", "--out", "file")


def test_version_and_list(photos, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"regionflow {__version__}\n"
    main(["list"])
    text = capsys.readouterr().out
    assert "masks (from segmenters):" in text
    assert f"  {MASKS}  ({MASKS}, default)" in text and "  sam_vit_h  (sam, weights missing)" in text
