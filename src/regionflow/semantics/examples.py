"""A few labelled regions name all of them: a linear classifier of pooled region features.

Features are standardised and half whitened by what all regions of the set, labelled or not, say. Then multinomial
logistic regression, classes balanced (sklearn.linear_model.LogisticRegression), or the nearest class mean, whose
softmax over squared distances is a linear classifier too. Both are stored as the same arrays. The logistic regression
was the better of the two from one example a class on (docs/semantics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from regionflow.base.errors import UserError
from regionflow.formats.classifiers import Classifier, Validation
from regionflow.formats.hdf5 import open_hdf5
from regionflow.formats.pooled import BLOCK_ROWS, SetColumn, image_ids
from regionflow.semantics.example_files import LabelledRegion
from regionflow.semantics.example_options import ExamplesOptions
from regionflow.semantics.fuse import LabelScores
from regionflow.semantics.seen import Seen

Features = NDArray[np.float32]
# Groups of images in cross-validation.
FOLDS = 10


class NotEnoughExamples(UserError):
    """The examples do not suffice for a classifier; the text says what is missing."""


@dataclass(frozen=True)
class Scaling:
    """What is known of features without any label: mean and standard deviation [C], and `whitening` [C, C].

    A standardised feature times `whitening` has channels that hardly correlate: directions in which all regions vary
    alike, whatever they show, count for less.
    """

    mean: Features
    scale: Features
    whitening: NDArray[np.float64]


def scaling(features: SetColumn | Features, shrink: float = 0.5) -> Scaling:
    """The scaling of region features [N, C] over their finite rows.

    The covariance is shrunk towards a multiple of the identity by the share `shrink`: 1 leaves standardised features.
    """
    channels = features.shape[1]
    count, total, products = 0, np.zeros(channels), np.zeros((channels, channels))
    for start in range(0, len(features), BLOCK_ROWS):
        block = np.asarray(features[start : start + BLOCK_ROWS], np.float64)
        block = block[np.isfinite(block).all(axis=1)]
        count, total, products = count + len(block), total + block.sum(axis=0), products + block.T @ block
    mean = total / max(1, count)
    covariance = products / max(1, count) - np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    # A channel that does not vary says nothing: rounding must not blow it up.
    still = deviation <= 1e-6 * np.maximum(1, np.abs(mean))
    scale = np.where(still, 1, deviation)
    correlation = np.where(still[:, None] | still[None], 0, covariance / np.outer(scale, scale))
    variances, axes = np.linalg.eigh(correlation)
    shrunk = (1 - shrink) * np.maximum(variances, 0) + shrink * max(float(variances.mean()), 1e-6)
    return Scaling(mean.astype(np.float32), scale.astype(np.float32), axes / np.sqrt(np.maximum(shrunk, 1e-6)))


@dataclass(frozen=True)
class ExampleSet:
    """Labelled regions with their features [E, C]: image and number of each, and its class, an index into `names`."""

    names: list[str]
    images: list[str]
    regions: NDArray[np.int64]
    truth: NDArray[np.int64]
    features: Features

    def some(self, chosen: NDArray[np.bool_]) -> "ExampleSet":
        """Those of the examples that are chosen [E]."""
        images = [image for image, yes in zip(self.images, chosen, strict=True) if yes]
        return ExampleSet(self.names, images, self.regions[chosen], self.truth[chosen], self.features[chosen])


def fit(examples: ExampleSet, known: Scaling, options: ExamplesOptions) -> Classifier:
    """A classifier of the examples' classes; `known` is the scaling of the whole set.

    A class without examples never wins. Raises NotEnoughExamples if fewer than two classes have any.
    """
    names, truth = examples.names, examples.truth
    counts = np.bincount(truth, minlength=len(names))
    present = np.flatnonzero(counts).tolist()
    if len(present) < 2:
        have = ", ".join(names[i] for i in present) or "none"
        raise NotEnoughExamples(f"a classifier needs usable examples of two classes at least (there are: {have})")
    whitened = ((examples.features - known.mean) / known.scale).astype(float) @ known.whitening
    with threadpool_limits(1):
        chosen = _logistic if options.method == "logistic" else _nearest_mean
        weights, bias = chosen(whitened, np.searchsorted(present, truth), len(present), options)
    # The smallest logit that is surely below all others and still finite.
    floor = np.float32(np.finfo(np.float32).min / 4)
    all_weights, all_bias = np.zeros((len(names), len(known.mean)), np.float32), np.full(len(names), floor)
    all_weights[present], all_bias[present] = weights @ known.whitening.T, bias
    return Classifier(
        list(names), known.mean, known.scale, all_weights, all_bias, counts.astype(np.int64), options.method
    )


def _logistic(
    rows: NDArray, truth: NDArray[np.int64], classes: int, options: ExamplesOptions
) -> tuple[NDArray, NDArray]:
    model = LogisticRegression(C=options.c, class_weight="balanced", max_iter=2000).fit(rows, truth)
    if classes == 2:
        # sklearn has one logit for two classes: that of the second against the first.
        zero = np.zeros_like(model.coef_)
        return np.concatenate([zero, model.coef_]), np.concatenate([[0.0], model.intercept_])
    return model.coef_, model.intercept_


def _nearest_mean(
    rows: NDArray, truth: NDArray[np.int64], classes: int, options: ExamplesOptions
) -> tuple[NDArray, NDArray]:
    """Softmax of -|x - mean|^2 / (2 v), where v is the mean squared distance of an example to its own class mean.

    Of classes with one example that distance is unknown: with no other class, it is that of the nearest two means.
    """
    means = np.stack([rows[truth == c].mean(axis=0) for c in range(classes)])
    counts = np.bincount(truth, minlength=classes)
    squared = ((rows - means[truth]) ** 2).sum(axis=1)
    freedom = int((counts - 1).sum())
    if freedom:
        variance = float(squared.sum() / freedom)
    else:
        between = ((means[:, None] - means[None]) ** 2).sum(axis=2)
        variance = float(between[~np.eye(classes, dtype=bool)].min())
    variance = max(variance, 1e-6)
    return means / variance, -(means**2).sum(axis=1) / (2 * variance)


def probabilities(classifier: Classifier, features: Features) -> Features:
    """Probabilities [R, K] of the classes of region features [R, C]; NaN for rows that are not finite.

    Raises UserError if the classifier was fitted to features of another width.
    """
    if len(features) and features.shape[1] != len(classifier.mean):
        raise UserError(
            f"region features have {features.shape[1]} channels, the classifier {len(classifier.mean)}: "
            "it was fitted to another extractor; delete it and run again"
        )
    out = np.full((len(features), len(classifier.names)), np.nan, np.float32)
    good = np.isfinite(features).all(axis=1) if len(features) else np.zeros(0, bool)
    if good.any():
        standard = (features[good] - classifier.mean) / classifier.scale
        logits = standard.astype(float) @ classifier.weights.T.astype(float) + classifier.bias
        exps = np.exp(logits - logits.max(axis=1, keepdims=True))
        out[good] = exps / exps.sum(axis=1, keepdims=True)
    return out


def validate(examples: ExampleSet, known: Scaling, options: ExamplesOptions) -> Validation:
    """Guess every example from those of other images: up to ten groups of images, each guessed from the other groups.

    An example whose class no image outside of its group has is not guessed, and counted as such.
    """
    truth = examples.truth
    guess = np.full(len(truth), -1, np.int64)
    group = {image: i % FOLDS for i, image in enumerate(dict.fromkeys(examples.images))}
    fold = np.array([group[image] for image in examples.images], np.int64)
    for number in np.unique(fold):
        others = np.unique(truth[fold != number])
        fair = (fold == number) & np.isin(truth, others)
        if len(others) >= 2 and fair.any():
            classifier = fit(examples.some(fold != number), known, options)
            guess[fair] = probabilities(classifier, examples.features[fair]).argmax(axis=1)
    return Validation(examples.images, examples.regions, truth, guess)


class Examples:
    """The labeler: it has no model of its own, but the classifier that was fitted to the examples."""

    def __init__(self, options: ExamplesOptions, device: str = "cpu") -> None:
        self.options = options

    def label(self, seen: Seen) -> LabelScores:
        """Scores of region features; a region without features is none."""
        if seen.classifier is None:
            raise ValueError("the labeler needs the classifier that was fitted to its examples")
        sure = probabilities(seen.classifier, seen.pooled)
        without = np.asarray(np.isnan(sure).any(axis=1))
        rows = np.concatenate([np.nan_to_num(sure), without[:, None]], axis=1).astype(np.float32)
        return LabelScores(regions=rows, names=seen.classifier.names)


def of_set(pooled: Path, labelled: Sequence[LabelledRegion], names: list[str]) -> tuple[ExampleSet, list[str]]:
    """The examples with their features from a set file, and notes on those that have none."""
    images = image_ids(pooled)
    with open_hdf5(pooled, "a set of region features") as file:
        image, region = file["image"][:], file["region"][:]
    place = {(images[i], int(r)): row for row, (i, r) in enumerate(zip(image, region, strict=True))}
    there = [one for one in labelled if (one.image, one.region) in place]
    rows = np.array([place[one.image, one.region] for one in there], np.int64)
    order = np.argsort(rows, kind="stable")
    there = [there[i] for i in order.tolist()]
    features = SetColumn(pooled).take(rows[order]).astype(np.float32)
    finite = np.asarray(np.isfinite(features).all(axis=1))
    some = ExampleSet(
        names,
        [one.image for one in there],
        np.array([one.region for one in there], np.int64),
        np.array([names.index(one.name) for one in there], np.int64),
        features,
    ).some(finite)
    kept = set(zip(some.images, some.regions.tolist(), strict=True))
    notes = [
        f"region {one.region} of {one.image} has no usable features: the example is left out"
        for one in labelled
        if (one.image, one.region) not in kept
    ]
    return some, notes
