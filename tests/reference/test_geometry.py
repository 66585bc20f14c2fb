"""Geometry against torch and torchvision, and against the published code's off-by-one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import CenterCrop

from regionflow.formats.geometry import Geometry

SIZES = [(140, 140), (98, 57), (57, 98), (131, 45), (1, 1), (3, 200)]


def upsampled(features: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """The whole frame [C, Hp, Wp], by torch."""
    return F.interpolate(features[None], size=geometry.padded, mode="bilinear", align_corners=False)[0]


def ours(features: torch.Tensor, geometry: Geometry) -> np.ndarray:
    rows, columns = geometry.interpolation_matrix(0), geometry.interpolation_matrix(1)
    return np.einsum("yi,cij,xj->cyx", rows, features.double().numpy(), columns)


@pytest.mark.parametrize(("height", "width"), [*SIZES, *((28 - pad, 42 - pad) for pad in range(14))])
def test_weights_are_torch_interpolate_and_crop(height: int, width: int) -> None:
    geometry = Geometry.pad_to_multiple(height, width, 14)
    features = torch.randn(5, *geometry.grid, generator=torch.Generator().manual_seed(height * width))
    top, left = geometry.offset
    expected = upsampled(features, geometry)[:, top : top + height, left : left + width]
    np.testing.assert_allclose(ours(features, geometry), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("patch", "pad"), [(patch, pad) for patch in (14, 16) for pad in range(patch)])
def test_off_by_one_of_the_published_crop_is_gone(patch: int, pad: int) -> None:
    """torchvision's CenterCrop starts at round(pad / 2), the padding at pad // 2: one pixel apart for pad % 4 = 3."""
    whole = 3 * patch
    size = whole - pad
    geometry = Geometry.pad_to_multiple(size, size, patch)
    # Each pixel of the padded image says where in the image it is; what comes back at a pixel must be its own place.
    ramp = torch.arange(float(whole)).expand(1, whole, whole) - geometry.offset[1]
    published = CenterCrop((size, size))(ramp)[0, 0]
    aligned = ramp[0, 0, geometry.offset[1] : geometry.offset[1] + size]
    assert aligned.tolist() == list(range(size))
    assert torch.equal(published, aligned) == (pad % 4 != 3)

    features = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(pad))
    as_published = CenterCrop((size, size))(upsampled(features, geometry)).numpy()
    assert np.allclose(ours(features, geometry), as_published, atol=1e-5) == (pad % 4 != 3)


@pytest.mark.parametrize(("height", "width"), SIZES[:4])
def test_resized_weights_sample_the_frame_at_pixel_centres(height: int, width: int) -> None:
    geometry = Geometry.resize(height, width, 70, "short", 14)
    features = torch.randn(3, *geometry.grid, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frame = geometry.padded
    y = (geometry.offset[0] + (torch.arange(height) + 0.5) * geometry.resized[0] / height) / frame[0] * 2 - 1
    x = (geometry.offset[1] + (torch.arange(width) + 0.5) * geometry.resized[1] / width) / frame[1] * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].double()
    expected = F.grid_sample(features[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    np.testing.assert_allclose(ours(features, geometry), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(140, 140), (99, 58), (5, 33)])
def test_centre_pixels_are_torch_nearest_exact(height: int, width: int) -> None:
    geometry = Geometry.pad_to_multiple(height, width, 14)
    index = torch.full(geometry.padded, -1.0)
    top, left = geometry.offset
    index[top : top + height, left : left + width] = torch.arange(height * width).reshape(height, width)
    expected = F.interpolate(index[None, None], size=geometry.grid, mode="nearest-exact")[0, 0]
    rows, columns = geometry.centre_pixels(0), geometry.centre_pixels(1)
    inside = (rows >= 0)[:, None] & (columns >= 0)
    got = np.where(inside, rows[:, None] * width + columns, -1)
    assert np.array_equal(got, expected.numpy())
