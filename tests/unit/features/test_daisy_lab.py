"""The extractor without weights: alignment, any size, strips, flat images."""

import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2lab

from regionflow.features import daisy_lab
from regionflow.features.kinds import extractor
from regionflow.features.options import DaisyLabOptions
from regionflow.pooled.pool import pool


def extract(image: np.ndarray) -> np.ndarray:
    return extractor(DaisyLabOptions()).extract(image).features


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (8, 8), (61, 83)])
def test_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    fmap = extractor(DaisyLabOptions()).extract(image)
    assert fmap.features.shape == (107, -(-shape[0] // 8), -(-shape[1] // 8))
    assert fmap.features.dtype == np.float32
    assert np.isfinite(fmap.features).all()
    assert fmap.geometry is not None
    assert fmap.geometry.image == shape


def test_colour_of_a_cell_is_its_mean_lab() -> None:
    image = data.astronaut()[:40, :64]
    expected = rgb2lab(image / 255.0).reshape(5, 8, 8, 8, 3).mean(axis=(1, 3)) / 100
    np.testing.assert_allclose(extract(image)[104:].transpose(1, 2, 0), expected, atol=1e-4)


def test_descriptors_have_length_one_and_flat_images_have_none() -> None:
    lengths = np.linalg.norm(extract(data.astronaut()[:64, :64])[:104], axis=0)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    flat = extract(np.full((30, 30, 3), 77, np.uint8))
    assert np.linalg.norm(flat[:104], axis=0).max() < 0.1


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = data.astronaut()[:200, :90]
    whole = extract(image)
    monkeypatch.setattr(daisy_lab, "STRIP", 3)
    np.testing.assert_allclose(extract(image), whole, atol=1e-5)


def test_mirrored_image_gives_mirrored_gradient_energy() -> None:
    """Descriptors sit at cell centres: off by a pixel, left and right of an edge would differ in the mirror image."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 20:44] = 255
    energy = daisy_lab._daisy(daisy_lab._means(rgb2lab(image / 255.0).astype(np.float32)[..., :1], 2)[..., 0])
    centre = np.linalg.norm(energy[..., :8], axis=2)
    # Not exactly: skimage rounds the rings' points to pixels. One pixel off gives 0.04 and more.
    np.testing.assert_allclose(centre, centre[:, ::-1], atol=5e-3)


def test_pooled_colour_of_a_coloured_square() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    image[16:48, 16:48] = (255, 0, 0)
    pooled = pool(extractor(DaisyLabOptions()).extract(image), [(24.0, 24.0, 16.0, 16.0), (60.0, 60.0, 10.0, 10.0)])
    red = rgb2lab(np.array([[[1.0, 0, 0]]]))[0, 0] / 100
    np.testing.assert_allclose(pooled.features[0, 104:], red, atol=1e-3)
    np.testing.assert_allclose(pooled.features[1, 104:], 0, atol=1e-3)
