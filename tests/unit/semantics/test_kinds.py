"""What all labelers have in common: what they look at, what they refuse, and what is told before a run."""

import numpy as np
import pytest

from regionflow.base.kinds import read_kind
from regionflow.formats import rle
from regionflow.formats.classifiers import Classifier
from regionflow.formats.regions import Generator, ImageInfo, RegionFile, annotation, numbered
from regionflow.semantics.fuse import fuse
from regionflow.semantics.kinds import LabelerKind, labeler
from regionflow.semantics.seen import Seen

EXAMPLES = {"type": "examples", "examples": "sample_photos", "extractor": "daisy_lab"}
SEEM = {"type": "seem", "random_seed": 0}
TRANSFORMERS = {"type": "transformers", "model": "somewhere"}
WORDS = {"type": "words", "classes": ["sky", "cup"], "extractor": "maskclip_vitb16"}


def options(values, **more):
    return read_kind(LabelerKind, {**values, **more})


def seen(**more) -> Seen:
    masks = [np.eye(4, dtype=bool), np.ones((4, 4), bool)]
    records = numbered([annotation(rle.encode(mask), "graph") for mask in masks], "a")
    file = RegionFile(ImageInfo("a", "a.png", 4, 4), records, Generator("regions", {}), "0" * 64)
    return Seen(file, **more)


@pytest.mark.parametrize(
    ("values", "image", "features", "fitted"),
    [
        (EXAMPLES, False, "daisy_lab", True),
        (SEEM, True, None, False),
        (TRANSFORMERS, True, None, False),
        (WORDS, False, "maskclip_vitb16", False),
        ({**WORDS, "regions": "box", "extractor": None}, True, None, False),
        ({**WORDS, "regions": "attention", "extractor": None}, True, None, False),
    ],
)
def test_a_labeler_says_what_it_looks_at(values, image, features, fitted):
    kind = options(values)
    assert (kind.reads_image, kind.reads_features_of, kind.is_fitted) == (image, features, fitted)


def test_examples_score_regions_with_features_and_leave_the_others_to_none(monkeypatch):
    classifier = Classifier(
        ["sky", "cup"], *(np.array(v, np.float32) for v in ([0, 0], [1, 1], [[1, 0], [0, 1]], [0, 0])),
        np.array([1, 1]), "logistic",
    )  # fmt: skip
    given = seen(classifier=classifier)
    monkeypatch.setattr(Seen, "pooled", np.array([[3, 0], [np.nan, np.nan]], np.float32))
    scores = labeler(options(EXAMPLES)).label(given)
    assert scores.names == ["sky", "cup"] and scores.dense is None
    assert scores.regions[0].argmax() == 0 and scores.regions[1].tolist() == [0, 0, 1]
    np.testing.assert_allclose(scores.regions.sum(axis=1), 1, atol=1e-6)


def test_an_image_without_regions_has_no_names_and_a_map_of_nothing(monkeypatch):
    """By features; labelers with a dense map name its pixels (test_fuse)."""
    file = RegionFile(ImageInfo("a", "a.png", 4, 5), [], Generator("regions", {}), "0" * 64)
    classifier = Classifier(
        ["sky", "cup"], *(np.array(v, np.float32) for v in ([0, 0], [1, 1], [[1, 0], [0, 1]], [0, 0])),
        np.array([1, 1]), "logistic",
    )  # fmt: skip
    monkeypatch.setattr(Seen, "pooled", np.zeros((0, 2), np.float32))
    kind = options(EXAMPLES)
    scores = labeler(kind).label(Seen(file, classifier=classifier))
    assert scores.regions.shape == (0, 3)
    classes = fuse(scores, [], (4, 5), kind)
    assert classes.regions == [] and classes.map.shape == (4, 5) and not classes.map.any()
    assert classes.shares == {"regions": 0.0, "dense": 0.0, "none": 1.0}


def test_what_was_not_shown_is_missed_by_name():
    with pytest.raises(ValueError, match="needs the classifier"):
        labeler(options(EXAMPLES)).label(seen())
    with pytest.raises(ValueError, match="needs the image"):
        _ = seen().pixels
    with pytest.raises(ValueError, match="needs region features"):
        _ = seen().pooled


def test_what_the_pipeline_published_changes_only_what_is_not_said():
    published = options(SEEM, as_published=True)
    assert (published.short_side, published.visible, published.merge) == (None, True, "labels")
    assert options(SEEM, as_published=True, short_side=640).short_side == 640
    assert (options(SEEM).short_side, options(SEEM).visible, options(SEEM).merge) == (512, False, "scores")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**EXAMPLES, "examples": "nowhere.tsv"}, "examples: nowhere.tsv is not there"),
        ({**EXAMPLES, "classes": ["sky", "cup"]}, "class 'person' is not one of sky, cup"),
        ({**WORDS, "tables": ["coco_133_to_28"]}, "line 2: 'wall-brick' is no class of the labeler"),
        ({**SEEM, "tables": ["coco_28_to_19"]}, "line 2: 'wall' is no class of the labeler"),
        ({**TRANSFORMERS, "tables": []}, None),
        ({**SEEM, "tables": ["coco_133_to_28", "coco_28_to_19"]}, None),
    ],
)
def test_mistakes_are_told_before_a_run(values, said):
    problems = list(options(values).problems())
    assert (said in "\n".join(problems)) if said else problems == []


@pytest.mark.parametrize(
    ("values", "package"), [(SEEM, "open_clip"), (WORDS, "open_clip"), (TRANSFORMERS, "transformers")]
)
def test_a_library_that_is_missing_is_told_with_the_extra(values, package, monkeypatch):
    monkeypatch.setattr("regionflow.semantics.options.find_spec", lambda name: None)
    assert list(options(values).problems()) == [
        f"type: {package} is not installed: pip install 'regionflow[semantics]'"
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"type": "seem"}, "give either checkpoint"),
        ({**SEEM, "checkpoint": "seem_focall_v0.pt"}, "give either checkpoint"),
        ({**SEEM, "classes": ["sky", "Sky"]}, "stand more than once: Sky, sky"),
        ({**EXAMPLES, "purity": 0.4}, "greater than 0.5"),
    ],
)
def test_options_that_cannot_be_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        options(values)


def test_label_maps_need_class_names(tmp_path):
    assert list(options(EXAMPLES, examples=str(tmp_path)).problems()) == [
        "classes: label maps need the class names: value v is the v-th"
    ]
    assert list(options(EXAMPLES, examples=str(tmp_path), classes=["sky", "cup"]).problems()) == []
