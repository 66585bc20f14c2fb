"""Features against timm's own forward on the padded image, block by block, and against open_clip."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor
from torchvision.transforms import CenterCrop, Normalize

from regionflow.features.kinds import extractor
from regionflow.features.options import TimmOptions
from regionflow.features.presets import PRESETS
from regionflow.features.timm_model import TimmExtractor
from regionflow.pooled.pool import pool

IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
DINOV2, DINOV2_REG, TINY = "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_tiny_patch16_224"
SMALL_CLIP = "vit_xsmall_patch16_clip_224"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def photo(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[100 : 100 + height, 150 : 150 + width])


def padded(image: np.ndarray, multiple: int) -> Tensor:
    """CenterPadding of the published code: pad // 2 zeros first, in 0..1, before normalisation."""
    pads: list[int] = []
    for length in image.shape[1::-1]:  # width, then height
        pad = -length % multiple
        pads += [pad // 2, pad - pad // 2]
    return F.pad(torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255, pads)


def reference(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return timm.create_model(name, dynamic_img_size=True).eval()


@pytest.fixture(scope="module")
def dinov2() -> tuple[TimmExtractor, Any]:
    return TimmExtractor(TimmOptions(model=DINOV2, random_seed=0)), reference(DINOV2)


SIZES = [(56, 56), (70, 42), (43, 99), (1, 1), (3, 120)]


@pytest.mark.parametrize(("height", "width"), [*SIZES, *((28 - pad, 42 - pad) for pad in range(14))])
def test_features_are_timms_on_the_padded_image(dinov2: Any, height: int, width: int) -> None:
    built, model = dinov2
    image = photo(height, width)
    with torch.no_grad():
        tokens = model.forward_features(IMAGENET(padded(image, 14)))[0, 1:]
    fmap = built.extract(image)
    rows, columns = -(-height // 14), -(-width // 14)
    assert fmap.geometry.grid == (rows, columns)
    assert fmap.geometry.offset == ((rows * 14 - height) // 2, (columns * 14 - width) // 2)
    np.testing.assert_allclose(fmap.features, tokens.T.reshape(-1, rows, columns), atol=1e-5)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("name", [DINOV2, DINOV2_REG])
def test_layers_are_block_outputs_in_the_order_asked_for(name: str, norm: bool) -> None:
    """As DINOv2's get_intermediate_layers: 0-based blocks, prefix tokens dropped, final norm on every layer."""
    model = reference(name)
    image = photo(50, 80)
    with torch.no_grad():
        x = model.norm_pre(model._pos_embed(model.patch_embed(IMAGENET(padded(image, 14)))))
        outputs = [x := block(x) for block in model.blocks]
        expected = torch.cat([model.norm(outputs[i]) if norm else outputs[i] for i in (11, 2)], dim=2)
    patches = expected[0, model.num_prefix_tokens :].T.reshape(-1, 4, 6)
    options = TimmOptions(model=name, random_seed=0, layers=[-1, 2], norm=norm)
    np.testing.assert_allclose(extractor(options).extract(image).features, patches, atol=1e-5)


def test_repeated_and_negative_layers() -> None:
    image = photo(32, 32)
    twice = extractor(TimmOptions(model=TINY, random_seed=0, layers=[-12, 0])).extract(image).features
    assert np.array_equal(twice[:192], twice[192:])


@pytest.mark.parametrize("kind", ["resize_long", "resize_short", "square"])
def test_resized_input_is_pillows_bicubic(kind: Any) -> None:
    from PIL import Image

    built = extractor(TimmOptions(model=TINY, random_seed=0, geometry=kind, size=64))
    image = photo(90, 131)
    small = {"resize_long": (44, 64), "resize_short": (64, 93), "square": (44, 64)}[kind]
    resized = np.asarray(Image.fromarray(image).resize(small[::-1], Image.Resampling.BICUBIC))
    if kind == "square":
        frame = F.pad(torch.from_numpy(resized.copy()).permute(2, 0, 1)[None] / 255, (0, 0, 0, 20))
    else:
        frame = padded(resized, 16)
    with torch.no_grad():
        model = reference(TINY)
        tokens = model.forward_features(Normalize((0.5,) * 3, (0.5,) * 3)(frame))[0, 1:]
    fmap = built.extract(image)
    np.testing.assert_allclose(fmap.features.reshape(192, -1), tokens.T, atol=1e-5)
    assert fmap.geometry.resized == small
    assert fmap.geometry.image == (90, 131)


def test_convolutional_network() -> None:
    model = reference_convnext()
    image = photo(50, 80)
    with torch.no_grad():
        # ConvNeXt keeps its norm in the head, so its feature maps are the stages' outputs.
        expected = model.stages(model.stem(IMAGENET(padded(image, 32))))[0]
    fmap = extractor(TimmOptions(model="convnext_atto", random_seed=0, norm=False)).extract(image)
    np.testing.assert_allclose(fmap.features, expected, atol=1e-5)
    assert fmap.geometry.grid == (2, 3)


def reference_convnext() -> Any:
    torch.manual_seed(0)
    return timm.create_model("convnext_atto").eval()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: Any) -> tuple[Any, Path]:
    """A small open_clip image tower with random weights, and a file of them in the official CLIP's keys."""
    torch.manual_seed(0)
    tower = open_clip.transformer.VisionTransformer(
        image_size=224, patch_size=16, width=256, layers=10, heads=4, mlp_ratio=4.0, output_dim=512
    ).eval()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    path = tmp_path_factory.mktemp("clip") / "clip.pt"
    torch.save({f"visual.{key}": value for key, value in tower.state_dict().items()}, path)
    return tower, path


def tokens_before(tower: Any, batch: Tensor, blocks: int) -> Tensor:
    """The tower's tokens [B, N, C] after so many blocks, position embeddings interpolated to the batch's grid."""
    x = tower.conv1(batch)
    rows, columns = x.shape[2:]
    x = torch.cat([tower.class_embedding.expand(len(x), 1, -1), x.flatten(2).transpose(1, 2)], dim=1)
    position = tower.positional_embedding[None]
    grid = position[:, 1:].transpose(1, 2).reshape(1, -1, 14, 14)
    if (rows, columns) != (14, 14):
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
    x = tower.ln_pre(x + torch.cat([position[:, :1], grid.flatten(2).transpose(1, 2)], dim=1))
    for block in tower.transformer.resblocks[:blocks]:
        x = block(x)
    return x


@pytest.mark.parametrize(("height", "width"), [(224, 224), (75, 131), (131, 60)])
def test_clip_is_open_clips(clip: Any, height: int, width: int) -> None:
    """ln_post of the last block's patch tokens, no projection, aligned with the whole image."""
    tower, path = clip
    image = photo(height, width)
    with torch.no_grad():
        tokens = tower.ln_post(tokens_before(tower, CLIP(padded(image, 16)), 10))[0, 1:]
    fmap = extractor(TimmOptions(model=SMALL_CLIP, checkpoint=str(path))).extract(image)
    assert fmap.geometry.grid == (-(-height // 16), -(-width // 16))
    np.testing.assert_allclose(fmap.features.reshape(256, -1), tokens.T, atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of tracing
def test_clip_from_a_torchscript_archive_in_half_precision(clip: Any, tmp_path: Path) -> None:
    """As OpenAI's files are: the whole model scripted, of which the image tower is `visual`, in float16."""
    tower, _ = clip

    class Clip(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = deepcopy(tower).half()
            self.logit_scale = torch.nn.Parameter(torch.ones([]))

        def forward(self, x: Tensor) -> Tensor:
            return self.visual(x.half()) * self.logit_scale

    path = tmp_path / "ViT-B-16.pt"
    torch.jit.save(torch.jit.trace(Clip().eval(), torch.zeros(1, 3, 224, 224), check_trace=False), path)
    image = photo(75, 131)
    exact = extractor(TimmOptions(model=SMALL_CLIP, checkpoint=str(clip[1]))).extract(image).features
    archived = extractor(TimmOptions(model=SMALL_CLIP, checkpoint=str(path))).extract(image).features
    np.testing.assert_allclose(archived, exact, atol=0.02)


def test_own_forward_of_open_clip_agrees_with_the_reference_above(clip: Any) -> None:
    tower, _ = clip
    batch = CLIP(padded(photo(224, 224), 16))
    with torch.no_grad():
        pooled = tower.ln_post(tokens_before(tower, batch, 10))[:, 0] @ tower.proj
        torch.testing.assert_close(pooled, tower(batch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (75, 131)])
def test_maskclip_is_the_value_path_of_open_clips_last_block(clip: Any, height: int, width: int) -> None:
    tower, path = clip
    image = photo(height, width)
    last = tower.transformer.resblocks[-1]
    with torch.no_grad():
        x = tokens_before(tower, CLIP(padded(image, 16)), 9)
        value = F.linear(last.ln_1(x), last.attn.in_proj_weight[512:], last.attn.in_proj_bias[512:])
        x = x + last.attn.out_proj(value)
        x = x + last.mlp(last.ln_2(x))
        expected = (tower.ln_post(x) @ tower.proj)[0, 1:]
    fmap = extractor(TimmOptions(model=SMALL_CLIP, checkpoint=str(path), value_path=True)).extract(image)
    assert fmap.features.shape == (512, -(-height // 16), -(-width // 16))
    np.testing.assert_allclose(fmap.features.reshape(512, -1), expected.T, atol=1e-4)


@pytest.mark.parametrize("pad", [3, 7, 11])
def test_a_preset_pools_the_pixel_and_not_its_neighbour(pad: int) -> None:
    """End to end at the pads where the published crop is one pixel off."""
    preset = PRESETS["dinov2_vits14"].model_copy(update={"random_seed": 0})
    size = 42 - pad
    fmap = extractor(preset).extract(photo(size, size))
    pixels = [(float(x), float(x), 1.0, 1.0) for x in range(size)]
    pooled = pool(fmap, pixels).features
    full = F.interpolate(torch.from_numpy(fmap.features)[None], size=(42, 42), mode="bilinear", align_corners=False)
    aligned = full[0, :, pad // 2 : pad // 2 + size, pad // 2 : pad // 2 + size]
    published = CenterCrop((size, size))(full)[0]
    np.testing.assert_allclose(pooled, torch.diagonal(aligned, dim1=1, dim2=2).T, atol=1e-5)
    assert np.abs(pooled - torch.diagonal(published, dim1=1, dim2=2).T.numpy()).max() > 0.01
