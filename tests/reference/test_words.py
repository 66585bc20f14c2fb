"""Class rows and region scores against open_clip's own arithmetic, on random weights."""

import copy

import numpy as np
import open_clip
import pytest
import torch
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
from PIL import Image

from helpers.pretend_card import pretend
from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.formats.regions import annotation, numbered
from regionflow.semantics.fuse import fuse
from regionflow.semantics.words import WordsLabeler, _crop, class_rows
from regionflow.semantics.words_options import WordsOptions

NAMES = ["sky", "wooden table"]


class SmallClip(open_clip.CLIP):
    """A CLIP that builds in an instant."""

    def __init__(self) -> None:
        tower = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
        super().__init__(64, tower, {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2})


@pytest.fixture(scope="module")
def clip() -> tuple:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallClip().eval()
    preprocess = open_clip.image_transform(32, is_train=False)
    return model, preprocess, open_clip.get_tokenizer("ViT-B-32")


@pytest.fixture
def labeler(clip, monkeypatch):
    monkeypatch.setattr("regionflow.semantics.words.load_clip", lambda options: clip)
    return lambda **some: WordsLabeler(WordsOptions(classes=NAMES, random_seed=0, **some))


def test_class_rows_are_open_clips_zero_shot_classifier(clip):
    model, _, tokenizer = clip
    theirs = open_clip.build_zero_shot_classifier(model, tokenizer, NAMES, OPENAI_IMAGENET_TEMPLATES).T
    torch.testing.assert_close(class_rows(model, tokenizer, [[n] for n in NAMES], None), theirs, atol=1e-5, rtol=0)
    own = open_clip.build_zero_shot_classifier(model, tokenizer, NAMES, ["a {}.", "no {}."]).T
    torch.testing.assert_close(
        class_rows(model, tokenizer, [[n] for n in NAMES], ["a {}.", "no {}."]), own, atol=1e-5, rtol=0
    )


def test_synonyms_are_one_row_between_them(clip):
    model, _, tokenizer = clip
    apart = class_rows(model, tokenizer, [["sofa"], ["couch"]], ["{}"])
    mean = apart.mean(dim=0)
    both = class_rows(model, tokenizer, [["sofa", "couch"]], ["{}"])
    torch.testing.assert_close(both[0], mean / mean.norm(), atol=1e-5, rtol=0)


def test_pooled_features_are_scored_as_open_clip_scores_images(clip, labeler):
    words = labeler(extractor="maskclip_vitb16")
    features = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    features[3] = np.nan
    scores = words.region_scores(features).regions
    unit = torch.nn.functional.normalize(torch.from_numpy(features), dim=1)
    theirs = (100.0 * unit @ words.rows.T).softmax(dim=1)
    good = [0, 1, 2, 4]
    np.testing.assert_allclose(scores[good, :-1], theirs[good], atol=1e-5)
    assert scores[3].tolist() == [0, 0, 1]
    with pytest.raises(UserError, match="have 32 channels"):
        words.region_scores(features[:, :32])


@pytest.mark.parametrize("kind", ["box", "masked", "both"])
def test_crops_are_encoded_as_open_clip_encodes_them(clip, labeler, kind):
    model, preprocess, _ = clip
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[10:20, 30:45] = True
    mask[10, 30] = False
    words = labeler(regions=kind)
    scores = words.scores(image, [rle.encode(mask)]).regions
    vectors = []
    for one in ("box", "masked") if kind == "both" else (kind,):
        with torch.no_grad():
            vectors.append(model.encode_image(preprocess(_crop(image, rle.encode(mask), one))[None], normalize=True))
    unit = torch.nn.functional.normalize(sum(vectors), dim=1)
    np.testing.assert_allclose(scores[:, :-1], (100 * unit @ words.rows.T).softmax(dim=1), atol=1e-4)
    assert words.scores(image, []).regions.shape == (0, 3)


@pytest.mark.parametrize("keys", ["mean", "own"])
def test_attention_over_the_whole_image_is_how_open_clip_encodes_it(clip, labeler, keys):
    """With own keys; with mean keys a region has another vector, and one of no pixels is none."""
    model, preprocess, _ = clip
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    masks = [rle.encode(np.ones((40, 50), bool)), rle.encode(np.zeros((40, 50), bool))]
    words = labeler(regions="attention", keys=keys)
    scores = words.scores(image, masks).regions
    squeezed = preprocess(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC))
    with torch.no_grad():
        theirs = (100 * model.encode_image(squeezed[None], normalize=True) @ words.rows.T).softmax(dim=1)[0]
    assert np.allclose(scores[0, :-1], theirs, atol=1e-4) == (keys == "own")
    assert scores[1].tolist() == [0, 0, 1] and scores.sum(axis=1) == pytest.approx(1)
    assert words.scores(image, []).regions.shape == (0, 3)


def test_temperature_sharpens_and_a_threshold_leaves_regions_without_a_class(labeler):
    features = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    sharp, flat = (
        labeler(extractor="maskclip_vitb16", temperature=t, min_score=0.6).region_scores(features) for t in (200.0, 1.0)
    )
    assert (sharp.regions.max(axis=1) > flat.regions.max(axis=1)).all()
    assert (sharp.regions.argmax(axis=1) == flat.regions.argmax(axis=1)).all()
    records = [annotation(rle.encode(np.eye(8, dtype=bool)), "graph") for _ in features]
    options = WordsOptions(classes=NAMES, random_seed=0, extractor="maskclip_vitb16", min_score=0.6)
    named = fuse(flat, numbered(records, "a"), (8, 8), options)
    assert flat.regions[:, :-1].max() < 0.6 and [region.value for region in named.regions] == [0] * 6
    named = fuse(sharp, numbered(records, "a"), (8, 8), options)
    expected = np.where(sharp.regions.max(axis=1) >= 0.6, sharp.regions.argmax(axis=1) + 1, 0)
    assert [region.value for region in named.regions] == expected.tolist() and expected.any()


def test_a_crop_is_the_square_around_the_box_and_masked_shows_the_region_alone():
    image = np.arange(40 * 50 * 3).reshape(40, 50, 3).astype(np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[0:4, 20:30] = True
    box = np.asarray(_crop(image, rle.encode(mask), "box"))
    assert box.shape == (10, 10, 3)
    # Three rows above the image are filled.
    assert (box[:3] == [122, 116, 104]).all() and (box[3:] == image[:7, 20:30]).all()
    masked = np.asarray(_crop(image, rle.encode(mask), "masked"))
    assert (masked[3:7] == image[:4, 20:30]).all() and (masked[7:] == [122, 116, 104]).all()
    assert isinstance(_crop(image, rle.encode(np.zeros((40, 50), bool)), "box"), Image.Image)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": ["sofa|couch", "bed", "Couch"]}, "stand more than once: Couch, couch"),
        ({"classes": ["sky", " | "]}, "no class name in"),
        ({"classes": NAMES, "regions": "box", "extractor": "maskclip_vitb16"}, "extractor goes with"),
        ({"classes": NAMES}, "extractor goes with"),
        ({"classes": NAMES, "extractor": "x", "templates": ["a photo"]}, "no {} in the templates"),
        ({"classes": NAMES, "extractor": "x", "checkpoint": "a", "random_seed": 1}, "give one of"),
    ],
)
def test_options_that_contradict_each_other_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        WordsOptions(**wrong)


def test_on_a_card_crops_have_the_same_scores(clip, monkeypatch):
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    masks = [rle.encode(np.tri(40, 50, k, dtype=bool)) for k in (0, 20)]
    monkeypatch.setattr("regionflow.semantics.words.load_clip", lambda options: copy.deepcopy(clip))
    options = WordsOptions(classes=NAMES, random_seed=0, regions="both")
    expected = WordsLabeler(options).scores(image, masks)
    with pretend() as watch:
        scores = WordsLabeler(options, "cuda").scores(image, masks)
    np.testing.assert_allclose(scores.regions, expected.regions, atol=1e-5)
    assert sum(watch.waits.values()) <= len(NAMES) + 2, watch.waits
