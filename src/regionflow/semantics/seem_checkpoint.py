"""SEEM's official checkpoints (seem_focall_v0.pt, seem_focall_v1.pt) into `seem_network.Seem`, strictly.

Keys are those of the original apart from the backbone, which is timm's FocalNet here. Two releases were called v1: the
file of May 2023, which since October 2023 is called v0, and the present v1, trained for several objects at once. Their
tensors have the same names, and plain semantic maps are right with either. Stroke prompts as the demo wires them (and
as this library does) are what v0 was trained for.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from regionflow.semantics.seem_network import Seem, SeemSize
from regionflow.weights.checkpoint import CheckpointError, load_state_dict, what_does_not_fit

# A constant of the original's training losses.
IGNORED = {"dilation_kernel"}
# Linear layers over channels, which are 1 x 1 convolutions in timm's FocalNet.
_LINEAR = re.compile(r"backbone\.layers\.\d+\.blocks\.\d+\.(modulation\.(f|proj)|mlp\.fc[12])\.weight")
_NAMES = (
    (r"^backbone\.patch_embed\.", "backbone.net.stem."),
    (r"^backbone\.layers\.", "backbone.net.layers."),
    (r"\.blocks\.(\d+)\.norm([12])\.", r".blocks.\1.norm\2_post."),
    (r"\.gamma_([12])$", r".ls\1.gamma"),
)


def load(path: Path) -> Seem:
    """The network of a Focal-L or Focal-T checkpoint, on the CPU in float32 and eval mode.

    Raises CheckpointError, naming the file and the keys, if it is no checkpoint of SEEM or lacks any tensor.
    """
    state = {key.removeprefix("model."): value for key, value in load_state_dict(path).items()}
    if "backbone.patch_embed.proj.weight" not in state or "sem_seg_head.predictor.class_embed" not in state:
        some = ", ".join(list(state)[:3])
        raise CheckpointError(f"{path} is not a checkpoint of SEEM with a focal backbone: it holds {some} ...")
    try:
        return from_state(state)
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold the weights of SEEM: {what_does_not_fit(error)}") from None


def from_state(state: dict[str, Tensor]) -> Seem:
    """The network of a state dict of the original, on its device, in float32 and eval mode.

    Raises RuntimeError if a tensor is missing, has another shape or is one too many.
    """
    # Without memory of its own: the tensors of the state dict become those of the network.
    with torch.device("meta"):
        network = Seem(size_of(state))
    network.load_state_dict(renamed(state), strict=True, assign=True)
    return network.float().eval().requires_grad_(False)


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the original with the names and shapes of `Seem`."""
    out = {}
    for key, tensor in state.items():
        if key in IGNORED:
            continue
        value = tensor[..., None, None] if _LINEAR.fullmatch(key) else tensor
        # The original scales down at the end of a stage, timm at the start of the next.
        name = re.sub(r"layers\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) + 1}.downsample", key)
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        out[name] = value
    return out


def size_of(state: dict[str, Tensor]) -> SeemSize:
    """The sizes that the tensors of a checkpoint tell."""

    def count(pattern: str) -> int:
        return len({match[1] for key in state if (match := re.match(pattern, key))})

    predictor = "sem_seg_head.predictor."
    text = predictor + "lang_encoder.lang_encoder."
    vocabulary, width = state[text + "token_embedding.weight"].shape
    return SeemSize(
        embed_dim=len(state["backbone.patch_embed.proj.weight"]),
        depths=tuple(count(rf"backbone\.layers\.{i}\.blocks\.(\d+)\.") for i in range(4)),
        focal_levels=count(r"backbone\.layers\.0\.blocks\.0\.modulation\.focal_layers\.(\d+)\."),
        focal_window=state["backbone.layers.0.blocks.0.modulation.focal_layers.0.0.weight"].shape[-1],
        dim=state[predictor + "class_embed"].shape[0],
        encoder_layers=count(r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\."),
        decoder_layers=count(r"sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\."),
        feed_forward=len(state[predictor + "transformer_ffn_layers.0.linear1.weight"]),
        queries=len(state[predictor + "query_feat.weight"]),
        vocabulary=vocabulary,
        text_width=width,
        text_layers=count(r"sem_seg_head\.predictor\.lang_encoder\.lang_encoder\.resblocks\.(\d+)\."),
        text_length=len(state[text + "positional_embedding"]),
    )


def random_state(size: SeemSize, seed: int) -> dict[str, Tensor]:
    """Random weights under the official names, to try a workflow without a download."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        ours = Seem(size).state_dict()
    official: dict[str, Tensor] = {}
    for key, tensor in ours.items():
        name = key.replace("backbone.net.stem.", "backbone.patch_embed.").replace("backbone.net.", "backbone.")
        name = re.sub(r"layers\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name)
        name = re.sub(r"\.norm([12])_post\.", r".norm\1.", name)
        name = re.sub(r"\.ls([12])\.gamma", r".gamma_\1", name)
        shape = tensor.shape[:2] if _LINEAR.fullmatch(name) else tensor.shape
        official[name] = _random(name, tuple(shape), generator)
    return official


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Weights that keep signals alive through the depth: fan-in scaled, norms near one, layer scale large."""
    noise = torch.randn(shape, generator=generator)
    norm = re.search(r"(norm\d?|norm|ln_\d|ln_final)\.weight$", name)
    if norm or "gamma_" in name:
        return 1 + 0.1 * noise if norm else 0.5 + 0.05 * noise
    if name.endswith("bias") or len(shape) < 2:
        return 0.1 * noise if shape else torch.tensor(2.0)
    if any(part in name for part in ("embed.weight", "query_feat", "indicator", "embedding", "featured")):
        return noise
    fan_in = int(torch.tensor(shape[1:]).prod())
    return noise * fan_in**-0.5
