"""The generator's parts without a network: discs stand in for a SAM's masks, segment-anything's own code judges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.utils.amg import build_point_grid, generate_crop_boxes
from torch import Tensor
from torchvision.ops import batched_nms

from regionflow.base.later import at_once
from regionflow.formats import rle
from regionflow.sam import generator
from regionflow.sam.generator import WAVE, Candidates, Crop, _coarse_first, begin, confidently_covered, generate
from regionflow.sam.masks import FullMask, FullSize, Thresholds
from regionflow.sam.options import AmgOptions
from regionflow.sam.prompting import Answer

Pixels = NDArray[np.uint8]
IMAGE: Pixels = np.random.default_rng(0).integers(0, 256, (64, 92, 3), dtype=np.uint8)
CPU = torch.device("cpu")
RADII = np.array([4.0, 9.0, 17.0])


def drawn(crop: Pixels, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Logits [P, 3, h, w] of three frayed discs around each point, and IoUs [P, 3] of which no two are alike."""
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    distance = np.hypot(columns - points[:, :1, None], rows - points[:, 1:, None])
    frayed = distance + crop[..., 0] / 40
    logits = (RADII[:, None, None] - frayed[:, None]) / 2
    iou = 0.75 + 0.24 * np.sin(points @ [12.9898, 78.233] + crop.mean())[:, None] * [1.0, 0.9, 0.8]
    return torch.from_numpy(logits).float(), torch.from_numpy(iou).float()


@dataclass
class Calls:
    """What the stand-ins were asked: images to encode and whether in bfloat16, crops taken, points, with each batch."""

    encoded: list[tuple[int, bool]] = field(default_factory=list)
    begun: list[tuple[int, bool]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    batches: list[int | None] = field(default_factory=list)
    prompted: list[list[tuple[float, ...]]] = field(default_factory=list)


class Discs:
    """Stands in for `Prompter`: full-size masks of discs, `step` points at a time."""

    together, step = 1, 5

    def __init__(self, crop: Pixels, options: AmgOptions) -> None:
        size, side = crop.shape[:2], max(crop.shape[:2])
        self.crop, self.options, self.pad = crop, options, (0, side - size[1], 0, side - size[0])
        self.full = FullSize((side, side), side, size, size, CPU)
        self.prompted: list[tuple[float, ...]] = []

    def answers(self, points: NDArray[np.float64], asked: NDArray[np.int64]) -> Iterator[tuple[Any, Answer]]:
        self.prompted += map(tuple, points[asked])
        for start in range(0, len(asked), self.step):
            now = asked[start : start + self.step]
            logits, iou = drawn(self.crop, points[now])
            options, least = self.options, self.options.pred_iou_thresh
            wanted = iou > least if least > 0 else torch.ones_like(iou, dtype=torch.bool)
            padded = torch.nn.functional.pad(logits[wanted], self.pad, value=-1.0)
            masks = self.full.masks(
                padded, Thresholds(0.0, options.stability_score_offset, options.stability_score_thresh)
            )
            yield now, Answer(iou.numpy(), wanted.numpy(), masks)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Discs in the place of networks."""
    noted = Calls()

    class Encodings:
        def __init__(self, sam: Any, images: Sequence[Pixels], bf16: bool) -> None:
            self.images = images
            noted.encoded.append((len(images), bf16))

        def begin(self, number: int) -> None:
            noted.begun.append((number, torch.is_inference_mode_enabled()))

        def take(self, number: int) -> Pixels:
            noted.taken.append(number)
            return self.images[number]

    def prompter(sam: Any, encoded: Pixels, options: AmgOptions, batch: int | None) -> Discs:
        discs = Discs(encoded, options)
        noted.batches.append(batch)
        noted.prompted.append(discs.prompted)
        return discs

    monkeypatch.setattr(generator, "Encodings", Encodings)
    monkeypatch.setattr(generator, "Prompter", prompter)
    return noted


SAM: Any = SimpleNamespace(device=CPU)
LOW = {"points_per_side": 5, "pred_iou_thresh": 0.7, "stability_score_thresh": 0.3}


def of_segment_anything(image: Pixels, **options: Any) -> list[dict]:
    """Masks with pixels by segment-anything's generator, whose model draws the same discs."""
    model = SimpleNamespace(image_encoder=SimpleNamespace(img_size=1024), mask_threshold=0.0, device=CPU)
    theirs = SamAutomaticMaskGenerator(model, output_mode="coco_rle", **options)

    class Predictor:
        device, transform = CPU, SimpleNamespace(apply_coords=lambda points, size: points)

        def __init__(self) -> None:
            self.model = model

        def set_image(self, crop: Pixels) -> None:
            self.crop = crop

        def reset_image(self) -> None:
            del self.crop

        def predict_torch(self, points: Tensor, labels: Tensor, **_: bool) -> tuple[Tensor, Tensor, None]:
            return *drawn(self.crop, points[:, 0].numpy()), None

    theirs.predictor = Predictor()
    return [a for a in theirs.generate(image) if a["area"]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0},
        {"box_nms_thresh": 0.3, "min_mask_region_area": 12},
        {"points_per_side": 9, "box_nms_thresh": 0.9, "crop_nms_thresh": 0.2},
        {"points_per_side": 9, "box_nms_thresh": 0.6, "crop_nms_thresh": 0.2, "min_mask_region_area": 1},
        {"crop_n_layers": 1},
        {"crop_n_layers": 1, "box_nms_thresh": 0.4, "crop_nms_thresh": 0.5, "min_mask_region_area": 8},
        {"crop_n_layers": 1, "box_nms_thresh": 0.6, "crop_nms_thresh": 0.3, "min_mask_region_area": 8},
        {"crop_n_layers": 2, "crop_n_points_downscale_factor": 2, "crop_overlap_ratio": 0.6},
        {
            "points_per_side": None,
            "point_grids": [[[0.1, 0.2], [0.5, 0.5]], [[0.5, 0.4], [0.9, 0.1], [0.6, 0.8]]],
            "crop_n_layers": 1,
            "pred_iou_thresh": 0.0,
        },
    ],
    ids=str,
)
def test_annotations_are_segment_anythings_to_the_bit(calls: Calls, options: dict) -> None:
    theirs = of_segment_anything(IMAGE, **LOW | options)
    assert len(theirs) >= 4
    ours = generate(SAM, IMAGE, AmgOptions(**LOW | options))
    assert [{**a, "bbox": None} for a in ours] == [{**a, "bbox": None} for a in theirs]
    for a, b in zip(ours, theirs, strict=True):
        x, y, width, height = a["bbox"]
        assert [x, y, width - 1, height - 1] == b["bbox"]


def test_masks_that_the_edge_of_a_crop_cuts_and_duplicates_of_other_crops_are_among_what_goes(calls: Calls) -> None:
    """So that the test above has something to compare."""
    options = LOW | {"crop_n_layers": 1}
    ours = generate(SAM, IMAGE, AmgOptions(**options))
    assert len({tuple(a["crop_box"]) for a in ours}) >= 4
    assert len(ours) < len(generate(SAM, IMAGE, AmgOptions(**options, crop_nms_thresh=1.0))) < 125 * 3
    dense = LOW | {"points_per_side": 9}
    every = generate(SAM, IMAGE, AmgOptions(**dense, box_nms_thresh=1.0))
    assert len(generate(SAM, IMAGE, AmgOptions(**dense, box_nms_thresh=0.4))) < len(every)


def test_no_mask_at_all(calls: Calls) -> None:
    for more in ({}, {"crop_n_layers": 1}, {"min_mask_region_area": 5}, {"mask_nms_thresh": 0.5}):
        assert generate(SAM, IMAGE, AmgOptions(**LOW | {"pred_iou_thresh": 1.0} | more)) == []


def test_masks_without_a_pixel_are_no_masks(calls: Calls) -> None:
    """A threshold of 0 keeps all, and of a small disc on white pixels nothing is above that of masks."""
    white = np.full((30, 40, 3), 255, np.uint8)
    found = generate(SAM, white, AmgOptions(**LOW | {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}))
    assert found
    assert all(a["area"] > 0 for a in found)


@pytest.mark.parametrize("more", [{"mask_nms_thresh": 0.3}, {"containment_nms_thresh": 0.5}], ids=str)
def test_extra_suppression_takes_some_and_leaves_the_order(calls: Calls, more: dict) -> None:
    dense = LOW | {"points_per_side": 9, "box_nms_thresh": 1.0}
    plain = generate(SAM, IMAGE, AmgOptions(**dense))
    fewer = generate(SAM, IMAGE, AmgOptions(**dense | more))
    assert 0 < len(fewer) < len(plain)
    assert fewer == [a for a in plain if a in fewer]


def test_several_images_get_their_own_masks_in_whatever_order_they_are_asked_for(calls: Calls) -> None:
    images = [IMAGE, np.ascontiguousarray(IMAGE[::-1, :80]), IMAGE[:1], np.ascontiguousarray(IMAGE.swapaxes(0, 1))]
    options = AmgOptions(**LOW | {"points_per_side": 3, "crop_n_layers": 1})
    expected = [generate(SAM, image, options) for image in images]
    calls.encoded.clear()
    together = begin(SAM, images, options)
    assert calls.encoded == [(5 + 5 + 3 + 5, False)]  # of a strip one pixel high two crops of four are empty
    assert calls.begun == []
    found = {i: together[i](at_once)() for i in (2, 0, 3, 1)}
    assert [found[i] for i in range(4)] == expected
    assert all(expected)


def test_a_card_begins_at_once_and_a_cpu_when_the_turn_of_an_image_has_come(calls: Calls) -> None:
    card: Any = SimpleNamespace(device=torch.device("cuda"))
    begin(card, [IMAGE, IMAGE], AmgOptions(**LOW))
    assert calls.begun == [(0, True)]
    begin(SAM, [IMAGE, IMAGE], AmgOptions(**LOW))
    assert calls.begun == [(0, True)]
    assert calls.taken == []
    generate(SAM, IMAGE, AmgOptions(**LOW, precision="bf16"), points_per_batch=7)
    assert calls.encoded == [(2, False), (2, False), (1, True)]
    assert calls.batches == [7]


def test_work_of_the_host_is_left_to_whoever_does_it_beside(calls: Calls) -> None:
    """Of two layers of crops nothing is made into RLEs before the last crop was prompted, if nobody does it before."""
    left = []

    def later(work: Any) -> Any:
        left.append(work)
        return work

    options = AmgOptions(**LOW, crop_n_layers=1)
    result = begin(SAM, [IMAGE], options)[0](later)
    assert len(calls.prompted) == 5
    assert len(left) == 5 * 5 + 5 + 1  # batches of five points, crops, the image
    assert result() == generate(SAM, IMAGE, options)


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sam segmenter: needs an RGB image"):
        begin(SAM, [IMAGE, np.zeros(shape, np.uint8)], AmgOptions())


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 40), (40, 3), (92, 8), (8, 92), (30, 30)])
def test_crops_are_segment_anythings_but_for_those_without_pixels(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    crops = generator._crops(image, AmgOptions(crop_n_layers=2))
    both = zip(*generate_crop_boxes(shape, 2, AmgOptions().crop_overlap_ratio), strict=True)
    whole = [(tuple(box), layer) for box, layer in both if image[box[1] : box[3], box[0] : box[2]].size]
    assert list(zip(crops.boxes, crops.layers, strict=True)) == whole
    assert crops.size == shape


def test_a_crop_without_points_is_not_encoded(calls: Calls) -> None:
    options = AmgOptions(points_per_side=None, point_grids=[[[0.5, 0.5]], []], crop_n_layers=1)
    generate(SAM, IMAGE, options)
    assert calls.taken == [0]


def candidate(mask: NDArray[np.bool_], iou: float, point: tuple[float, float]) -> Candidates:
    box, scores = np.array([[0, 0, 30, 20]]), np.array([iou], np.float32)
    return Candidates([rle.encode(mask)], box, scores, scores, np.array([point]), box)


def test_what_a_smaller_crop_is_not_asked_for() -> None:
    size = (20, 30)

    def of(rows: slice, columns: slice, iou: float, point: tuple[float, float]) -> Candidates:
        mask = np.zeros(size, bool)
        mask[rows, columns] = True
        return candidate(mask, iou, point)

    found = [
        of(slice(0, 20), slice(0, 30), 0.9, (5, 5)),  # larger than another of the same point
        of(slice(0, 10), slice(0, 15), 0.81, (5, 5)),
        of(slice(10, 20), slice(15, 30), 0.79, (20, 15)),  # not sure enough
        of(slice(0, 2), slice(28, 30), 0.81, (29, 1)),
    ]
    covered = confidently_covered(Candidates.join(found), size, 0.6)
    assert covered[:10, :15].all()
    assert covered[:2, 28:].all()
    assert covered.sum() == 150 + 4
    assert not confidently_covered(Candidates.none(), size, 0.6).any()
    exactly = Candidates.join([of(slice(0, 1), slice(0, 1), 0.75, (0, 0))])
    assert confidently_covered(exactly, size, 0.5).sum() == 1  # at least halfway to 1
    assert confidently_covered(exactly, size, 0.52).sum() == 0


def test_crops_skip_exactly_the_points_in_what_crops_before_surely_know(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = np.zeros(IMAGE.shape[:2], bool)
    known[10:40, 16:70] = True  # reaches into all four crops, and differently far
    looks: list[tuple[set[tuple[int, ...]], float]] = []

    def surely(found: Candidates, size: tuple[int, int], skip: float) -> NDArray[np.bool_]:
        looks.append(({tuple(box) for box in found.crops.tolist()}, skip))
        return known if len(looks) == 1 else np.zeros_like(known)  # what was known stays known

    monkeypatch.setattr(generator, "confidently_covered", surely)
    options: dict[str, Any] = LOW | {"points_per_side": 8, "crop_n_layers": 1}
    generate(SAM, IMAGE, AmgOptions(**options))
    boxes = generator._crops(IMAGE, AmgOptions(**options)).boxes
    whole, *crops = [
        [(x + x0, y + y0) for x, y in asked] for asked, (x0, y0, _, _) in zip(calls.prompted, boxes, strict=True)
    ]
    assert [len(places) for places in (whole, *crops)] == [64] * 5
    assert not looks
    calls.prompted.clear()
    generate(SAM, IMAGE, AmgOptions(**options, skip_covered_iou=1.0))  # of which no mask is sure
    assert looks == [({box}, 1.0) for box in boxes[:4]]
    again, *left = [
        {(x + x0, y + y0) for x, y in asked} for asked, (x0, y0, _, _) in zip(calls.prompted, boxes, strict=True)
    ]
    assert again == set(whole)  # nothing came before the whole image
    assert left == [{(x, y) for x, y in places if not known[int(y), int(x)]} for places in crops]
    assert all(0 < len(places) < 64 for places in left)


def in_waves(crop: Pixels, points: NDArray[np.float64], options: AmgOptions, least: float) -> list[list[int]]:
    """What is asked for wave by wave, said plainly: sixteen points, then without those that their masks cover."""
    waiting, waves = list(range(len(points))), []
    while waiting:
        wave, waiting = waiting[:16], waiting[16:]
        waves.append(wave)
        covered = np.zeros(crop.shape[:2], bool)
        for logits, iou in zip(*drawn(crop, points[wave]), strict=True):
            scores = (logits > options.stability_score_offset).sum((1, 2)) / (
                logits > -options.stability_score_offset
            ).sum((1, 2))
            good = (iou > options.pred_iou_thresh) & (iou >= least) & (scores >= options.stability_score_thresh)
            masks = sorted((mask.numpy() > 0 for mask in logits[good]), key=np.sum)
            covered |= masks[0] if masks else False
        columns, rows = np.minimum(points.astype(int), [crop.shape[1] - 1, crop.shape[0] - 1]).T
        waiting = [p for p in waiting if not covered[rows[p], columns[p]]]
    return waves


@pytest.mark.parametrize("together", [1, 30, 512])
@pytest.mark.parametrize("least", [0.0, 0.85])
@pytest.mark.parametrize("side", [9, 3])
def test_points_in_masks_of_waves_before_are_not_prompted_however_many_go_together(
    together: int, least: float, side: int
) -> None:
    options = AmgOptions(**LOW)
    grid = build_point_grid(side)
    points = Crop((0, 0, 92, 64), (64, 92)).points(grid[_coarse_first(grid)])
    discs = Discs(IMAGE, options)
    discs.together = together
    pixels = points[:, 0].astype(int) * 64 + points[:, 1].astype(int)
    waves = list(generator._not_covered(discs, points, pixels, least))
    expected = in_waves(IMAGE, points, options, least)
    assert [asked.tolist() for asked, _ in waves] == expected
    assert side < 5 or sum(map(len, expected)) < side**2
    for asked, answer in waves:
        (alone,) = (Answer.join([one for _, one in Discs(IMAGE, options).answers(points, asked)]),)
        assert (answer.iou == alone.iou).all()
        assert (answer.wanted == alone.wanted).all()
        assert list(map(edges, answer.masks)) == list(map(edges, alone.masks))


def edges(mask: FullMask | None) -> list[int] | None:
    return None if mask is None else mask.edges.tolist()


def test_points_are_skipped_in_crops_that_are_not_square_with_points_on_their_edges(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "confidently_covered", lambda found, size, skip: np.zeros(size, bool))
    grid = [*build_point_grid(7).tolist(), [1.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    more = {"points_per_side": None, "point_grids": [grid] * 2, "skip_covered_iou": 0.7, "crop_n_layers": 1}
    options = AmgOptions(**LOW | more)
    generate(SAM, IMAGE, options)
    for asked, box in zip(calls.prompted, generator._crops(IMAGE, options).boxes, strict=True):
        x0, y0, x1, y1 = box
        points = np.array(grid)[_coarse_first(np.array(grid))] * [x1 - x0, y1 - y0]
        expected = [p for wave in in_waves(IMAGE[y0:y1, x0:x1], points, options, 0.7) for p in wave]
        assert asked == [tuple(points[p]) for p in expected]
        assert len(expected) < len(grid)


def bayer(bits: int) -> NDArray[np.int64]:
    """Bayer's (1973) matrix of ordered dither."""
    matrix = np.zeros((1, 1), np.int64)
    for _ in range(bits):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return matrix


@pytest.mark.parametrize("side", [1, 2, 3, 5, 12, 13, 29, 30, 32])
def test_points_go_in_the_order_of_an_ordered_dither(side: int) -> None:
    grid = build_point_grid(side)
    with np.errstate(all="raise"):
        order = _coarse_first(grid)
    columns, rows = (grid * side - 0.5).round().astype(int).T + 3  # fourths begin at the second
    assert order.tolist() == sorted(range(side**2), key=bayer(6)[rows, columns].__getitem__)


def test_points_go_from_coarse_to_fine_and_a_wave_is_spread_out() -> None:
    grid = build_point_grid(32)
    order = _coarse_first(grid)
    places = (grid * 32 - 0.5).round().astype(int)[order]
    assert (places[:64] % 4 == 1).all()
    assert (places[:256] % 2 == 1).all()
    for wave in np.split(places, 1024 // WAVE):
        between = np.abs(wave[:, None] - wave).max(2) + 32 * np.eye(WAVE, dtype=int)
        assert between.min() == 8


@pytest.mark.parametrize("points", [np.empty((0, 2)), np.array([[0.5, 0.5]]), np.random.default_rng(0).random((50, 2))])
def test_points_of_any_grid_are_ordered(points: NDArray[np.float64]) -> None:
    assert sorted(_coarse_first(points)) == list(range(len(points)))


def test_pixels_of_points_on_the_edge_are_the_last() -> None:
    crop = Crop((10, 20, 17, 23), (50, 60))
    corners = crop.points(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.99]]))
    assert corners.tolist() == [[0, 0], [7, 0], [0, 3], [7, 3], [3.5, pytest.approx(2.97)]]
    assert crop.pixels(corners).tolist() == [[0, 0], [6, 0], [0, 2], [6, 2], [3, 2]]


def test_a_mask_is_cut_within_20_pixels_of_the_crops_edge_unless_that_is_near_the_images() -> None:
    crop, size = (14, 16, 104, 96), (118, 140)
    image_box = (0, 0, size[1], size[0])
    for side in range(4):
        for at in range(140):
            box = [50, 60, 70, 70]  # far from every edge
            box[side] = at
            inner = tuple(value - crop[i % 2] for i, value in enumerate(box))
            cut = abs(at - crop[side]) <= 20 and abs(at - image_box[side]) > 20
            mask = FullMask(np.empty(0, np.int64), inner, 1.0)
            assert generator._cut_by_crop(mask, Crop(crop, size)) is cut, (side, at)


def test_boxes_without_an_area_are_those_around_their_pixels_in_an_image_one_pixel_wide() -> None:
    boxes, scores = np.array([[0, 0, 0, 9], [0, 0, 0, 8], [0, 5, 0, 9]]), torch.tensor([0.7, 0.9, 0.8])
    for turn in (boxes, boxes[:, [1, 0, 3, 2]]):
        size = (20, 1) if turn is boxes else (1, 20)
        assert generator._nms(turn, scores, 0.7, size).tolist() == [1, 2]
        assert generator._nms(turn, scores, 0.901, size).tolist() == [1, 2, 0]  # 9 of 10 pixels
        assert generator._nms(turn, scores, 0.899, size).tolist() == [1, 2]
        # as segment-anything has it
        assert generator._nms(turn, scores, 0.7, tuple(max(2, n) for n in size)).tolist() == [1, 2, 0]
    assert generator._nms(boxes[:0], scores[:0], 0.7, (1, 1)).tolist() == []


@pytest.mark.parametrize("thresh", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_boxes_are_suppressed_as_by_torchvision(thresh: float) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 20, (60, 2))
    boxes, scores = np.hstack([first, first + rng.integers(0, 20, (60, 2))]), torch.from_numpy(rng.random(60)).float()
    expected = batched_nms(torch.from_numpy(boxes).float(), scores, torch.zeros(60), iou_threshold=thresh)
    assert generator._nms(boxes, scores, thresh, (2, 40)).tolist() == expected.tolist()
