"""Ground truth comes from anywhere: what native code would hang on, and what fits nothing, is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regionflow.evaluate.options import CocoTruth, LabelMapTruth, PanopticTruth
from regionflow.evaluate.truth import TruthError, open_truth
from regionflow.formats import rle
from regionflow.formats.given_maps import read_given_map

HEIGHT, WIDTH = 6, 8


def read(path: Path, segmentation: object) -> rle.Rle:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": segmentation}],
        "categories": [{"id": 1, "name": "sky"}],
    }
    path.write_text(json.dumps(content))
    truth = open_truth(CocoTruth(type="coco", file=str(path)), ["a"])
    return truth.image("a", HEIGHT, WIDTH).regions[0].mask


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [6, 8], "counts": ""},
        {"size": [6, 8], "counts": "ooooooooooooooooo"},
        {"size": [6, 8], "counts": "\x00"},
        {"size": [6, 8], "counts": "00"},
        {"size": [6, 8], "counts": [-5, 53]},
        {"size": [6, 8], "counts": [10, 10]},
        {"size": [6, 8], "counts": [2**40]},
        {"size": [-6, -8], "counts": [48]},
        [[0, 0, 1e12, 0, 0, 1e12]],
        [[0, 0, float("nan"), 0, 0, 3]],
        [[0, 0, float("inf"), 0, 0, 3]],
    ],
    ids=repr,
)
def test_impossible_masks_are_named(tmp_path: Path, segmentation: object) -> None:
    with pytest.raises(TruthError, match=r"truth\.json.*annotation 7|truth\.json.*pixels"):
        read(tmp_path / "truth.json", segmentation)


def test_the_three_forms_are_read(tmp_path: Path) -> None:
    runs = rle.from_runs([6, 12, 30], HEIGHT, WIDTH)
    assert read(tmp_path / "truth.json", {"size": [6, 8], "counts": [6, 12, 30]}) == runs
    assert read(tmp_path / "truth.json", dict(runs)) == runs
    assert rle.area(read(tmp_path / "truth.json", [[1, 1, 4, 1, 4, 3, 1, 3]])) == 6


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}],
    "categories": [{"id": 1, "name": "sky"}],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": [*COCO["images"], {"id": 2, "file_name": "a.jpg"}]}, "a.png and a.jpg are both image 'a'"),
        ({"images": [{"id": 3, "file_name": "a.png"}]}, "annotations of images that it does not have"),
        ({"categories": [{"id": 2, "name": "sky"}]}, "annotation or segment 7 is of category 1, which is none"),
        ({"categories": [{"name": "sky"}]}, "no 'id'"),
        ({"images": [{"id": 1}]}, "no 'file_name'"),
        ({"annotations": [{"id": 7}]}, "no 'image_id'"),
    ],
)
def test_entries_that_fit_nothing_are_named_and_never_dropped(tmp_path: Path, change: dict, said: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({**COCO, **change}))
    with pytest.raises(TruthError, match=rf"truth\.json.*{said}"):
        open_truth(CocoTruth(file=str(path)), ["a"]).image("a", HEIGHT, WIDTH)


def panoptic(folder: Path, ids: list[int], annotations: list[dict] | None = None) -> int:
    """How many regions there are of a picture of the segments 3 and 4, whose JSON file has segments of these ids."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:3, :, 0], pixels[3:5, :, 0] = 3, 4
    Image.fromarray(pixels).save(folder / "a.png")
    segments = [{"id": number, "category_id": 1} for number in ids]
    annotations = annotations or [{"image_id": 1, "file_name": "a.png", "segments_info": segments}]
    (folder / "panoptic.json").write_text(json.dumps({**COCO, "annotations": annotations}))
    truth = open_truth(PanopticTruth(file=str(folder / "panoptic.json"), dir=str(folder)), ["a"])
    return len(truth.image("a", HEIGHT, WIDTH).regions)


def test_a_panoptic_picture_of_another_version_is_named(tmp_path: Path) -> None:
    assert panoptic(tmp_path, [3, 4]) == 2
    with pytest.raises(TruthError, match=r"a\.png: the segment 4 is not in .*panoptic\.json; are they of one version"):
        panoptic(tmp_path, [3])
    with pytest.raises(TruthError, match=r"a\.png: the segment 5 is not in .*a\.png"):
        panoptic(tmp_path, [3, 4, 5])
    with pytest.raises(TruthError, match=r"panoptic\.json: not a COCO panoptic file \(no 'file_name'\)"):
        panoptic(tmp_path, [], [{"segments_info": []}])
    twice = [{"file_name": name, "segments_info": []} for name in ("a.png", "a.bmp")]
    with pytest.raises(TruthError, match=r"two annotations are of 'a'"):
        panoptic(tmp_path, [], twice)


def test_two_label_maps_of_one_image_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / name)
    with pytest.raises(TruthError, match=r"a\.png and .*a\.tif are both of 'a'"):
        open_truth(LabelMapTruth(dir=str(tmp_path)), ["a"])


def test_a_label_map_is_one_whole_picture_of_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Image.fromarray(np.arange(48, dtype=np.uint16).reshape(HEIGHT, WIDTH))
    labels.save(tmp_path / "a.tif", save_all=True, append_images=[labels])
    with pytest.raises(ValueError, match="holds 2 pages or frames"):
        read_given_map(tmp_path / "a.tif")
    labels.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)  # Pillow refuses more than twice this
    assert (read_given_map(tmp_path / "a.png") == np.asarray(labels)).all()
    noise = np.random.default_rng(0).integers(0, 2**16, (60, 80), dtype=np.uint16)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for content in (b"", (tmp_path / "noise.png").read_bytes()[:900], b"II*\0\x08\0\0\0\xff\xff"):
        (tmp_path / "b.png").write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as a label map"):
            read_given_map(tmp_path / "b.png")
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.float32)).save(tmp_path / "c.tif")
    with pytest.raises(ValueError, match="one channel of integers, not float32"):
        read_given_map(tmp_path / "c.tif")
