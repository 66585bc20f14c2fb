"""SAM's image embedding against segment_anything's predictor."""

from pathlib import Path

import numpy as np
import pytest
from segment_anything import SamPredictor
from skimage import data

from helpers.small_sam import save_random_tiny_vit, save_small_sam
from regionflow.features.kinds import extractor
from regionflow.features.options import SamEncoderOptions
from regionflow.pooled.pool import pool
from regionflow.sam.build import build_sam


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_sam(tmp_path_factory.mktemp("sam") / "sam.pth")


@pytest.mark.parametrize("shape", [(256, 256), (120, 300), (333, 97), (1, 1), (3, 500)])
def test_embedding_is_the_predictors(checkpoint: Path, shape: tuple[int, int]) -> None:
    image = np.resize(data.astronaut(), (*shape, 3))
    predictor = SamPredictor(build_sam("auto", checkpoint))
    predictor.set_image(image)
    fmap = extractor(SamEncoderOptions(checkpoint=str(checkpoint))).extract(image)
    # Fused attention rounds in another order.
    np.testing.assert_allclose(fmap.features, predictor.get_image_embedding()[0], atol=1e-4)
    geometry = fmap.geometry
    assert geometry is not None
    assert (geometry.image, geometry.offset, geometry.padded, geometry.grid) == (shape, (0, 0), (256, 256), (16, 16))
    assert geometry.resized == tuple(predictor.input_size)


def test_hq_sam_gives_its_image_embedding_alone(tmp_path: Path) -> None:
    path = save_small_sam(tmp_path / "hq.pth", hq=True)
    image = data.astronaut()[:100, :140]
    fmap = extractor(SamEncoderOptions(checkpoint=str(path))).extract(image)
    assert fmap.features.shape[1:] == (16, 16)
    pooled = pool(fmap, [(10.0, 10.0, 50.0, 40.0)])
    assert np.isfinite(pooled.features).all()


@pytest.mark.slow
def test_mobile_sam(tmp_path: Path) -> None:
    path = save_random_tiny_vit(tmp_path / "mobile_sam.pth")
    fmap = extractor(SamEncoderOptions(model="mobile_sam", checkpoint=str(path))).extract(data.astronaut()[:100, :140])
    assert fmap.features.shape == (256, 64, 64)
    assert fmap.geometry is not None
    assert fmap.geometry.resized == (731, 1024)
    assert fmap.features.std() > 0
