"""Galleries show each thing once."""

import numpy as np

from regionflow.report.galleries import Candidate, box_iou, gallery


def looker(boxes, features):
    return lambda candidates: (
        np.array([boxes[c.region] for c in candidates]),
        np.array([features[c.region] for c in candidates], np.float32),
    )


def test_nearly_the_same_box_or_the_same_features_are_shown_once():
    boxes = {0: [0, 0, 10, 10], 1: [0, 0, 10, 11], 2: [50, 50, 10, 10], 3: [80, 0, 10, 10]}
    features = {0: [1, 0], 1: [0, 1], 2: [1, 0.001], 3: [0.5, 0.5]}
    candidates = [Candidate(i / 10, 0, i) for i in range(4)]
    assert [c.region for c in gallery(candidates, {0}, 4, looker(boxes, features))] == [0, 3]


def test_typical_regions_come_first_then_the_farthest_and_images_of_the_page_before_others():
    boxes = {i: [20 * i, 0, 10, 10] for i in range(8)}
    features = {i: np.eye(8)[i] for i in range(8)}
    candidates = [Candidate(i / 10, i % 2, i) for i in range(8)]
    chosen = gallery(candidates, {0}, 4, looker(boxes, features))
    assert [c.region for c in chosen] == [0, 2, 4, 6]
    assert len(gallery(candidates, {0, 1}, 8, looker(boxes, features))) == 8


def test_the_iou_of_boxes():
    assert box_iou([0, 0, 4, 2], [0, 0, 4, 2]) == 1
    assert box_iou([0, 0, 4, 2], [2, 0, 4, 2]) == 1 / 3
    assert box_iou([0, 0, 4, 2], [4, 0, 4, 2]) == 0
