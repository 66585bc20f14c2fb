"""Scores of clusters and classes against brute force and scikit-learn."""

from itertools import permutations

import numpy as np
import pytest
from sklearn import metrics

from regionflow.evaluate import labels


def random_maps(seed, predicted, classes):
    rng = np.random.default_rng(seed)
    true = rng.integers(-1, classes, (20, 30))
    guess = np.where(rng.random(true.shape) < 0.6, (true * 7 + 3) % predicted, rng.integers(-1, predicted, true.shape))
    return guess, true


def table_of(guess, true, predicted, classes):
    table = labels.Contingency(predicted, classes)
    for rows in (np.s_[:7], np.s_[7:]):
        table.add(guess[rows], true[rows])
    return table


def plain_scores(guess, true, classes):
    """Accuracy and mean IoU of two class maps, pixel by pixel."""
    known = true >= 0
    guess, true = guess[known], true[known]
    ious = [
        ((guess == c) & (true == c)).sum() / ((guess == c) | (true == c)).sum()
        for c in range(classes)
        if ((guess == c) | (true == c)).any()
    ]
    return (guess == true).mean(), np.mean(ious)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("predicted", "classes"), [(4, 4), (6, 4), (3, 6), (6, 6)])
def test_hungarian_is_the_best_of_all_assignments(seed, predicted, classes):
    guess, true = random_maps(seed, predicted, classes)
    table = table_of(guess, true, predicted, classes)
    most = max(predicted, classes)
    every = []
    for order in permutations(range(most), predicted):
        assigned = np.array([c if c < classes else -1 for c in order])
        mapped = np.where(guess >= 0, assigned[guess], -1)
        every.append(plain_scores(mapped, true, classes))
    scores = labels.class_scores(table, labels.hungarian(table))
    best = max(accuracy for accuracy, _ in every)
    assert scores.accuracy == pytest.approx(best, abs=1e-12)
    assert any(
        scores.miou == pytest.approx(miou, abs=1e-12) for accuracy, miou in every if accuracy == pytest.approx(best)
    )


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_partitions_are_scikit_learns(seed):
    guess, true = random_maps(seed, 5, 4)
    table = table_of(guess, true, 5, 4)
    both = (guess >= 0) & (true >= 0)
    pair = true[both], guess[both]
    assert labels.adjusted_rand(table) == pytest.approx(metrics.adjusted_rand_score(*pair), abs=1e-9)
    assert labels.normalized_mutual_information(table) == pytest.approx(
        metrics.normalized_mutual_info_score(*pair), abs=1e-9
    )
    counts = metrics.cluster.contingency_matrix(*pair)
    assert labels.purity(table) == pytest.approx(counts.max(axis=0).sum() / counts.sum())
    mapped = np.where(guess >= 0, labels.many_to_one(table)[guess], -1)
    assert labels.class_scores(table, labels.many_to_one(table)).accuracy == pytest.approx(
        plain_scores(mapped, true, 4)[0]
    )


def test_classes_as_they_are():
    guess, true = random_maps(1, 4, 4)
    scores = labels.class_scores(table_of(guess, true, 4, 4))
    assert (scores.accuracy, scores.miou) == pytest.approx(plain_scores(guess, true, 4))
    assert scores.iou.shape == (4,)


def test_adjusted_rand_of_more_pixels_than_pairs_fit_into_64_bits():
    table = labels.Contingency(2, 2)
    table.counts[:] = [[6_000_000_000, 0], [0, 7_000_000_000]]
    assert labels.adjusted_rand(table) == 1.0


def test_what_does_not_fit_is_refused():
    table = labels.Contingency(2, 2)
    with pytest.raises(ValueError, match="true one of"):
        table.add(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(ValueError, match="beyond 2 predicted"):
        table.add(np.full((2, 2), 2), np.zeros((2, 2), int))


def test_summary_of_nothing_is_nan():
    summary = labels.cluster_summary(labels.Contingency(3, 2))
    assert summary["pixels"] == 0 and all(np.isnan(summary[k]) for k in ("ari", "nmi", "purity", "hungarian_miou"))
