"""Part embeddings against timm's own forward pass on the masked image, as the original computes them."""

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from regionflow.formats import rle
from regionflow.formats.parts import EMPTY, PartMasks
from regionflow.parts.options import EmbedderOptions
from regionflow.parts.pixels import square
from regionflow.parts.targets import BATCH, Embedder, targets

MODEL, SIZE = "test_convnext.r160_in1k", 64


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return square(data.astronaut(), SIZE)


@pytest.fixture(scope="module")
def masks() -> NDArray[np.bool_]:
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.stack([(x - 20) ** 2 + (y - 30) ** 2 < 100, x > 40, (x > 10) & (y < 20)])


def published(image: NDArray[np.uint8], masks: NDArray[np.bool_], crop: bool) -> NDArray[np.float32]:
    """Embeddings [M, E] by the original's steps, with the same random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model(MODEL)
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model.eval()), is_training=False)
    views = []
    for mask in masks:
        masked = np.einsum("ijk,ij->ijk", image, mask)
        if crop:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            masked = masked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        views.append(transform(Image.fromarray(masked)))
    with torch.inference_mode():
        return model(torch.stack(views)).numpy()


@pytest.mark.parametrize("crop", [False, True])
def test_embeddings_are_timms(
    image: NDArray[np.uint8], masks: NDArray[np.bool_], crop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BATCH, "cpu", 2)
    options = EmbedderOptions(model=MODEL, random_seed=0, crop=crop, view="as_published")
    ours = Embedder(options).embed(image, [rle.encode(mask) for mask in masks])
    np.testing.assert_allclose(ours, published(image, masks, crop), atol=1e-5)


def test_the_whole_view_sees_the_border_that_the_published_one_cuts_off(image: NDArray[np.uint8]) -> None:
    border = np.zeros((SIZE, SIZE), bool)
    border[:, 0] = True
    empty_centre = np.zeros((SIZE, SIZE), bool)
    empty_centre[-1] = True
    pair = [rle.encode(border), rle.encode(empty_centre)]
    whole = Embedder(EmbedderOptions(model=MODEL, random_seed=0)).embed(image, pair)
    cut = Embedder(EmbedderOptions(model=MODEL, random_seed=0, view="as_published")).embed(image, pair)
    assert np.abs(whole[0] - whole[1]).max() > 10 * np.abs(cut[0] - cut[1]).max()


def test_each_distinct_mask_is_embedded_once_and_empty_ones_not_at_all(
    image: NDArray[np.uint8], masks: NDArray[np.bool_]
) -> None:
    index = np.array([[0, 1, 1], [EMPTY, 2, 1], [0, 0, 0], [2, 2, 2]])
    scores = np.ones(index.shape)
    parts = PartMasks(SIZE, [rle.encode(mask) for mask in masks], index, scores, scores, "sam")
    embedder = Embedder(EmbedderOptions(model=MODEL, random_seed=0))
    passes: list[int] = []
    embedder._model.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    made = targets(embedder.embed(image, parts.masks), parts)
    assert sum(passes) == 3
    dense = made.dense
    assert dense.shape == (4, 3, made.embeddings.shape[1])
    assert dense.dtype == np.float16
    assert (dense[1, 0] == 0).all()
    np.testing.assert_array_equal(dense[0, 1], dense[1, 2])


def test_an_unreadable_image_has_targets_without_rows(image: NDArray[np.uint8]) -> None:
    embedder = Embedder(EmbedderOptions(model=MODEL, random_seed=0))
    made = targets(embedder.embed(image, []), PartMasks.none("damaged"))
    assert made.error == "damaged"
    assert made.embeddings.shape[0] == made.index.size == 0


def test_an_image_without_a_mask_has_no_rows_of_the_width_of_all_others(image: NDArray[np.uint8]) -> None:
    """Some models widen their pooled features once more after the last stage."""
    options = EmbedderOptions(model="mobilenetv3_small_050", random_seed=0)
    embedder, everything = Embedder(options), rle.encode(np.ones((SIZE, SIZE), bool))
    width = embedder.embed(image, [everything]).shape[1]
    assert embedder.embed(image, []).shape == (0, width) == (0, options.width())
