"""The contract of every kind of segmenter and extractor: what holds for one holds for all."""

import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.small_sam import LOW_THRESHOLDS
from regionflow.base.kinds import implementation, read_kind
from regionflow.base.options import Kind
from regionflow.features.kinds import ExtractorOptions, extractor
from regionflow.formats import rle
from regionflow.masks.kinds import SegmenterOptions, segmenter
from regionflow.semantics.kinds import LabelerKind

# name: (height, width); grey means that the three channels are equal
SHAPES = {"one pixel": (1, 1), "portrait": (70, 33), "landscape": (40, 90), "strip": (2, 65)}
# An image of each shape, with one mask.
DRAWN = {
    "images": [{"id": i, "file_name": f"{i}.png", "height": h, "width": w} for i, (h, w) in enumerate(SHAPES.values())],
    "annotations": [
        {"id": i, "image_id": i, "segmentation": {"size": [h, w], "counts": [0, h * w]}}
        for i, (h, w) in enumerate(SHAPES.values())
    ],
}
DRAWN_FILE = Path(tempfile.mkdtemp()) / "drawn.json"
DRAWN_FILE.write_text(json.dumps(DRAWN))
SEGMENTERS = {
    "merge_tree": {"type": "merge_tree", "min_size": 1},
    "graph": {"type": "graph"},
    "sam": {"type": "sam", "model": "sam_tiny", **LOW_THRESHOLDS, "points_per_side": 3},
    "from_coco": {"type": "from_coco", "file": str(DRAWN_FILE)},
}
EXTRACTORS = {
    "daisy_lab": {"type": "daisy_lab"},
    "timm": {"type": "timm", "model": "test_vit", "random_seed": 0},
    "sam_encoder": {"type": "sam_encoder", "model": "sam_tiny"},
}


def kinds_of(union: Any) -> dict[str, type[Kind]]:
    """The options classes of a union of kinds by their type."""
    return {kind.model_fields["type"].default: kind for kind in get_args(get_args(union)[0])}


def image(height: int, width: int, grey: bool = False) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2] //= 4
    return np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """One of every kind, in a dictionary by its type."""
    segmenters = {name: segmenter(read_kind(SegmenterOptions, values)) for name, values in SEGMENTERS.items()}
    extractors = {name: extractor(read_kind(ExtractorOptions, values)) for name, values in EXTRACTORS.items()}
    return segmenters | extractors


def test_every_kind_is_tested_here() -> None:
    assert kinds_of(SegmenterOptions).keys() == SEGMENTERS.keys()
    assert kinds_of(ExtractorOptions).keys() == EXTRACTORS.keys()


@pytest.mark.parametrize(
    "kind", [k for union in (SegmenterOptions, ExtractorOptions, LabelerKind) for k in kinds_of(union).values()]
)
def test_a_kind_declares_itself_and_its_class_can_be_built(kind: type[Kind]) -> None:
    made_by = implementation(kind.model_construct())
    first, second, *others = inspect.signature(made_by).parameters.values()
    assert (first.name, second.name, second.default) == ("options", "device", "cpu")
    assert all(parameter.default is None for parameter in others)
    assert kind.__doc__


def test_options_of_all_kinds_are_read_without_importing_torch() -> None:
    code = "import sys, regionflow.run.stages; print(sorted({'torch', 'timm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", [*SEGMENTERS, *EXTRACTORS])
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0, 3), np.uint8),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3)),
        [[[0, 0, 0]]],
    ],
    ids=["no rows", "no columns", "grey", "alpha", "float", "list"],
)
def test_what_is_no_rgb_image_is_refused_with_the_name_of_the_kind(built: dict[str, Any], name: str, wrong) -> None:
    work = built[name].generate if name in SEGMENTERS else built[name].extract
    with pytest.raises(ValueError, match=f"^{name} (segmenter|extractor): needs an RGB image"):
        work(wrong)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", SEGMENTERS)
def test_masks_of_images_of_any_shape(built: dict[str, Any], name: str, shape: tuple[int, int], grey: bool) -> None:
    pixels = image(*shape, grey)
    before = pixels.copy()
    masks = built[name].generate(pixels)
    assert np.array_equal(pixels, before)
    scores = [mask["predicted_iou"] for mask in masks]
    assert scores == sorted(scores, reverse=True) or name == "sam"
    for mask in masks:
        decoded = rle.decode(mask["segmentation"])
        assert decoded.shape == shape
        assert mask["area"] == decoded.sum() > 0
        assert mask["bbox"] == rle.bbox(mask["segmentation"])
        assert mask["source"] and 0 <= mask["stability_score"] <= 1
    assert built[name].generate(pixels) == masks


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", EXTRACTORS)
def test_feature_maps_of_images_of_any_shape(
    built: dict[str, Any], name: str, shape: tuple[int, int], grey: bool
) -> None:
    pixels = image(*shape, grey)
    before = pixels.copy()
    feature_map = built[name].extract(pixels)
    assert np.array_equal(pixels, before)
    assert feature_map.geometry.image == shape
    assert feature_map.features.shape[1:] == feature_map.geometry.grid
    assert feature_map.features.dtype == np.float32 and np.isfinite(feature_map.features).all()
    again = built[name].extract(pixels)
    assert np.array_equal(again.features, feature_map.features)
    assert again.geometry == feature_map.geometry


@pytest.mark.parametrize("name", EXTRACTORS)
def test_the_geometry_says_where_a_change_in_the_image_is(built: dict[str, Any], name: str) -> None:
    """A bright spot changes the features of the cell that holds its centre more than those far away."""
    height, width = 96, 128
    plain = np.full((height, width, 3), 90, np.uint8)
    spot = plain.copy()
    y, x = 24, 104
    spot[y - 12 : y + 12, x - 12 : x + 12] = np.random.default_rng(0).integers(0, 256, (24, 24, 3))
    maps = [built[name].extract(pixels) for pixels in (plain, spot)]
    change = np.abs(maps[1].features - maps[0].features).sum(axis=0)
    geometry = maps[0].geometry
    rows, columns = geometry.interpolation_matrix(0), geometry.interpolation_matrix(1)
    upsampled = rows @ change @ columns.T
    assert upsampled[y - 8 : y + 8, x - 8 : x + 8].mean() > 2 * upsampled[60:, :60].mean()


@pytest.mark.parametrize("name", ["sam", "sam_encoder"])
def test_weights_that_are_not_there_are_named(name: str, tmp_path: Path) -> None:
    union, build = (SegmenterOptions, segmenter) if name == "sam" else (ExtractorOptions, extractor)
    missing = str(tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"none\.pth does not exist"):
        build(read_kind(union, {"type": name, "checkpoint": missing}))
    assert read_kind(union, {"type": name, "checkpoint": missing}).weights() == Path(missing)
