"""A model's last attention over one region: against its own forward, and against attention written out by hand."""

import numpy as np
import open_clip
import pytest
import torch
from open_clip.timm_model import TimmModel
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F

from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.semantics.region_attention import cell_shares, region_vectors

SIDE, PATCH, GRID = 64, 16, 4


def clip():
    """The image tower of a small CLIP."""
    tower = {"image_size": SIDE, "layers": 3, "width": 32, "head_width": 16, "patch_size": PATCH}
    text = {"context_length": 8, "vocab_size": 16, "width": 32, "heads": 2, "layers": 1}
    return open_clip.CLIP(24, tower, text).visual


def pooled():
    """A small tower of timm with attention pooling, which sees the class token too."""
    model = TimmModel("test_vit", embed_dim=64, image_size=160, pool="map", proj="none")
    model.trunk.pool_include_prefix = True
    return model


def siglip():
    """The image tower of a small SigLIP."""
    model = pooled()
    model.image_size = (SIDE, SIDE)
    model.trunk = VisionTransformer(
        SIDE, PATCH, embed_dim=32, depth=2, num_heads=2, num_classes=0, class_token=False, global_pool="map"
    )
    return model


@pytest.fixture(params=[clip, siglip, pooled])
def visual(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = request.param().eval().requires_grad_(False)
        for value in model.parameters():
            value.copy_(value + 0.2 * torch.randn(value.shape))
    return model


@pytest.fixture
def pixels(visual) -> torch.Tensor:
    return torch.randn(1, 3, *visual.image_size, generator=torch.Generator().manual_seed(1))


def grid_of(visual) -> int:
    return visual.image_size[0] // PATCH


def in_cells(visual, chosen) -> rle.Rle:
    """A mask over whole cells, of an image of twice the tower's height and three times its width."""
    cells = np.zeros((grid_of(visual),) * 2, bool)
    for place in chosen:
        cells[place] = True
    return rle.encode(np.kron(cells, np.ones((2 * PATCH, 3 * PATCH))).astype(bool))


def whole(visual) -> rle.Rle:
    return in_cells(visual, [(slice(None), slice(None))])


def test_with_own_keys_the_whole_image_is_the_ordinary_forward(visual, pixels):
    theirs = visual(pixels)
    ours = region_vectors(visual, pixels, [whole(visual)] * 20, "own")
    torch.testing.assert_close(ours, theirs.expand(20, -1), atol=1e-5, rtol=1e-5)
    assert theirs.std() > 1e-2


def attended_by_hand(query, keys, values, heads):
    """Softmax attention of one query [C] over tokens [N, C], head by head."""
    out = []
    for q, k, v in zip(query.chunk(heads), keys.chunk(heads, 1), values.chunk(heads, 1), strict=True):
        out.append((k @ q / len(q) ** 0.5).softmax(0) @ v)
    return torch.cat(out)


def by_hand(visual, pixels, cells, keys):
    """The vector of a region of whole cells (numbers in reading order)."""
    if hasattr(visual, "trunk"):
        pool, trunk = visual.trunk.attn_pool, visual.trunk
        tokens = trunk.forward_features(pixels)[0]
        k, v = pool.kv(tokens).chunk(2, dim=1)
        before = len(tokens) - grid_of(visual) ** 2
        chosen = [before + cell for cell in cells]
        if keys == "mean":
            return trunk.fc_norm(pool.proj(v[chosen].mean(0)))
        seen = [*range(before), *chosen]
        x = pool.proj(attended_by_hand(pool.q(pool.latent[0, 0]), k[seen], v[seen], pool.num_heads))
        return trunk.fc_norm(x + pool.mlp(pool.norm(x)))
    x = visual._embeds(pixels)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    x, block = x[0], visual.transformer.resblocks[-1]
    q, k, v = F.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(3, dim=1)
    tokens = [1 + cell for cell in cells]
    if keys == "mean":
        y = block.attn.out_proj(v[tokens].mean(0))
    else:
        seen = [0, *tokens]
        y = x[0] + block.attn.out_proj(attended_by_hand(q[0], k[seen], v[seen], block.attn.num_heads))
        y = y + block.mlp(block.ln_2(y))
    return visual.ln_post(y) @ visual.proj


@pytest.mark.parametrize("keys", ["mean", "own"])
def test_a_region_of_whole_cells_is_attention_restricted_to_them(visual, pixels, keys):
    n = grid_of(visual)
    masks = [in_cells(visual, [(0, 1), (2, slice(0, 3))]), in_cells(visual, [(3, 3)])]
    cells = [[1, 2 * n, 2 * n + 1, 2 * n + 2], [3 * n + 3]]
    ours = region_vectors(visual, pixels, masks, keys)
    for row, chosen in zip(ours, cells, strict=True):
        torch.testing.assert_close(row, by_hand(visual, pixels, chosen, keys), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(ours[0], ours[1], atol=1e-2)


def test_with_mean_keys_a_patch_counts_as_much_as_it_is_covered(visual, pixels):
    """Half of one cell and the whole of another: weights 1/3 and 2/3 of their values, before the last linear map."""
    cells = np.zeros((grid_of(visual),) * 2)
    cells[0, 2] = 1
    mask = np.kron(cells, np.ones((PATCH, PATCH))).astype(bool)
    mask[0:PATCH, 0 : PATCH // 2] = True
    linear = visual.trunk.attn_pool.proj if hasattr(visual, "trunk") else visual.transformer.resblocks[-1].attn.out_proj
    entered = []
    hook = linear.register_forward_pre_hook(lambda module, given: entered.append(given[0]))
    halves = [in_cells(visual, [(0, 0)]), in_cells(visual, [(0, 2)]), rle.encode(mask)]
    region_vectors(visual, pixels, halves, "mean")
    hook.remove()
    first, second, both = entered[-1]
    torch.testing.assert_close(both, first / 3 + second * 2 / 3, atol=1e-5, rtol=1e-5)


def test_shares_of_cells():
    mask = np.zeros((40, 80), bool)
    mask[0:10, 0:20] = True
    mask[10:20, 20:30] = True
    shares = cell_shares(rle.encode(mask), (4, 4))
    assert shares.shape == (4, 4)
    np.testing.assert_allclose(shares[:2, :2], [[1, 0], [0, 0.5]], atol=1e-6)
    assert shares[2:].max() == 0
    one = np.zeros((1000, 1000), bool)
    one[500, 500] = True
    assert cell_shares(rle.encode(one), (7, 7)).max() == 1
    assert cell_shares(rle.encode(np.zeros((9, 9), bool)), (4, 4)).max() == 0
    assert cell_shares(rle.encode(np.eye(2, dtype=bool)), (4, 4)).max() == 1


def test_a_region_of_no_pixels_has_no_vector_and_no_regions_none(visual, pixels):
    empty = rle.encode(np.zeros((SIDE, SIDE), bool))
    ours = region_vectors(visual, pixels, [empty, whole(visual)], "mean")
    assert ours[0].isnan().all() and ours[1].isfinite().all()
    assert region_vectors(visual, pixels, [], "own").shape == (0, ours.shape[1])


def test_a_tower_without_either_is_refused():
    tower = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    text = {"context_length": 8, "vocab_size": 16, "width": 32, "heads": 2, "layers": 1}
    with pytest.raises(UserError, match="ModifiedResNet; take box, masked or both"):
        region_vectors(open_clip.CLIP(24, tower, text).visual, torch.zeros(1, 3, 32, 32), [], "own")
