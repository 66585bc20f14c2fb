"""Class-agnostic quality of masks or regions: image by image, and over a set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from regionflow.evaluate.boundaries import TOLERANCE, boundary_scores, outlines
from regionflow.evaluate.recall import LIMITS, SIZES, Recall, ious, recall
from regionflow.evaluate.truth import ImageTruth
from regionflow.formats import rle
from regionflow.formats.regions import Annotation

Rank = Literal["predicted_iou", "mean_of_scores", "order"]
Row = dict[str, Any]


@dataclass(frozen=True)
class ImageScores:
    """The scores of one image's masks.

    best: [R] IoU of each true region that is no crowd with its best mask. areas: [R] their pixels. coverage: share of
    the pixels in any mask; foreground_coverage: of those in any true region. boundary: precision, recall, F.
    """

    image_id: str
    masks: int
    best: NDArray[np.float64]
    areas: NDArray[np.float64]
    recall: Recall
    coverage: float
    foreground_coverage: float
    boundary: tuple[float, float, float]

    def row(self) -> Row:
        """One line of the table of images."""
        regions = len(self.best)
        return {
            "image": self.image_id,
            "masks": self.masks,
            "true_regions": regions,
            "masks_per_region": self.masks / regions if regions else float("nan"),
            "mean_best_iou": float(self.best.mean()) if regions else float("nan"),
            **{f"ar_{limit}": self.recall.average(limit=limit) for limit in LIMITS},
            "coverage": self.coverage,
            "foreground_coverage": self.foreground_coverage,
            **dict(zip(("boundary_precision", "boundary_recall", "boundary_f"), self.boundary, strict=True)),
        }


def ranked(annotations: Sequence[Annotation], rank: Rank) -> list[Annotation]:
    """Records, best first. Records without the score come last, and equal ones stay in the order of the file.

    `mean_of_scores` is the mean of predicted IoU and stability score, the rule of the SAM paper's authors for AR@1000.
    """
    if rank == "order":
        return list(annotations)
    keys = ("predicted_iou",) if rank == "predicted_iou" else ("predicted_iou", "stability_score")

    def score(record: Annotation) -> float:
        return sum(record[key] for key in keys) / len(keys) if all(key in record for key in keys) else -np.inf

    return sorted(annotations, key=score, reverse=True)


def score_image(
    annotations: Sequence[Annotation],
    truth: ImageTruth,
    rank: Rank = "predicted_iou",
    boundary_tolerance: float = TOLERANCE,
) -> ImageScores:
    """Scores of one image's records against its true regions."""
    masks = [a["segmentation"] for a in ranked(annotations, rank)]
    regions = [r.mask for r in truth.regions]
    crowd = [r.crowd for r in truth.regions]
    areas = [float(rle.area(mask)) for mask in regions]
    overlap = ious(masks, regions, crowd)
    counted = ~np.array(crowd, bool)
    best = overlap.max(axis=0, initial=0.0)[counted] if regions else np.zeros(0)
    plain = [mask for mask, is_counted in zip(regions, counted, strict=True) if is_counted]
    in_any, foreground = _merged(masks), _merged(plain)
    height, width = truth.height, truth.width
    return ImageScores(
        truth.image_id,
        len(masks),
        best,
        np.array(areas)[counted],
        recall(overlap, areas, crowd),
        rle.area(in_any) / (height * width) if in_any else 0.0,
        _share(foreground, in_any),
        boundary_scores(outlines(masks, height, width), outlines(plain, height, width), boundary_tolerance),
    )


def _merged(masks: Sequence[rle.Rle]) -> rle.Rle | None:
    return coco.merge(list(masks)) if masks else None


def _share(of: rle.Rle | None, in_mask: rle.Rle | None) -> float:
    """Share of the pixels of one mask that lie in the other; NaN for no pixels."""
    if of is None or not rle.area(of):
        return float("nan")
    return rle.area(coco.merge([of, in_mask], intersect=True)) / rle.area(of) if in_mask else 0.0


@dataclass
class SetScores:
    """Scores over a set: only sums, whatever the number of images.

    Means of best IoUs are over true regions; `mean_best_iou_per_image` is the mean of the images' means. Coverage,
    boundary scores and counts are means over images.
    """

    images: int = 0
    recall: Recall = field(default_factory=Recall)
    _best: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(SIZES)))
    _regions: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(SIZES)))
    _half: int = 0
    _sums: dict[str, list[float]] = field(default_factory=dict)

    def add(self, scores: ImageScores) -> None:
        """Count one more image."""
        self.images += 1
        self.recall += scores.recall
        self._half += int((scores.best > 0.5).sum())
        for s, (least, most) in enumerate(SIZES.values()):
            of_size = (scores.areas >= least) & (scores.areas <= most)
            self._best[s] += scores.best[of_size].sum()
            self._regions[s] += of_size.sum()
        row = scores.row()
        row["mean_best_iou_per_image"] = row["mean_best_iou"]
        for key in ("mean_best_iou_per_image", "coverage", "foreground_coverage", "boundary_f"):
            if not np.isnan(row[key]):
                total = self._sums.setdefault(key, [0.0, 0])
                total[0] += row[key]
                total[1] += 1
        self._sums.setdefault("masks", [0.0, 0])[0] += scores.masks

    def summary(self) -> Row:
        """One line of the table of variants; NaN where nothing was to be measured."""
        means = {key: total / count for key, (total, count) in self._sums.items() if count}
        masks, regions = self._sums.get("masks", [0.0])[0], float(self._regions[0])
        out: Row = {
            "images": self.images,
            "true_regions": int(regions),
            "masks_per_image": _ratio(masks, self.images),
            "masks_per_region": _ratio(masks, regions),
            "mean_best_iou": _ratio(self._best[0], regions),
            "share_above_half": _ratio(self._half, regions),
        }
        for s, size in enumerate(SIZES):
            if size != "all":
                out[f"mean_best_iou_{size}"] = _ratio(self._best[s], self._regions[s])
        out |= {f"ar_{limit}": self.recall.average(limit=limit) for limit in LIMITS}
        out |= {f"ar_1000_{size}": self.recall.average(size) for size in SIZES if size != "all"}
        names = ("mean_best_iou_per_image", "coverage", "foreground_coverage", "boundary_f")
        return out | {name: means.get(name, float("nan")) for name in names}


def _ratio(a: float, b: float) -> float:
    return float(a) / float(b) if b else float("nan")
