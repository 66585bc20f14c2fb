"""The original's checkpoints and configurations (Agglomerator, CVPR 2022, and its distilled form, ICCVW 2023)."""

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from regionflow.base.errors import UserError
from regionflow.parts.agglomerator import Agglomerator, Probe
from regionflow.parts.options import StudentOptions
from regionflow.weights.checkpoint import CheckpointError, load_state_dict, what_does_not_fit

# The original's modules are numbered with the steps that hold no weights between them.
_TOKENIZER = "image_to_tokens.0.block."
_PROBE = "classification_head_from_last_level."
_NETWORK = re.compile(r"(bottom_up|top_down|levels_encoder)\.net\.(\d+)\.(weight|bias)")
_SCALARS = ("wl", "wBU", "wTD", "wA")
_OTHER_HEADS = ("contrastive_head.", "classification_head_from_contr.")


def load_original(model: Agglomerator, probe: Probe | None, path: Path) -> None:
    """Load a checkpoint of the original (Lightning's .ckpt, or its state dict) in place; it is read as tensors only.

    The contrastive heads of the 2022 model have no part in distillation and are left out. `probe`: gets the classifier
    of the top level; None leaves it out.

    Raises:
        CheckpointError: the file is no such checkpoint, of another configuration than the model, or holds NaN.
    """
    published = load_state_dict(path)
    try:
        state = convert(published, model.options.levels)
        classifier = {key.removeprefix("probe."): state.pop(key) for key in list(state) if key.startswith("probe.")}
        # As published targets are taken as they are.
        unscaled = {"target_mean": torch.zeros_like(model.target_mean), "target_std": torch.ones_like(model.target_std)}
        model.load_state_dict(state | unscaled)
        if probe is not None:
            probe.load_state_dict(classifier)
    except KeyError as error:
        raise CheckpointError(f"{path} is not a checkpoint of the Agglomerator: {error.args[0]}") from None
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} does not fit the student as configured: {what_does_not_fit(error)}. Set parts.student to the "
            "network that the checkpoint is of."
        ) from None


def convert(state: dict[str, Tensor], levels: int) -> dict[str, Tensor]:
    """The original's tensors under the names of `Agglomerator`, and those of `Probe` behind "probe.".

    Raises KeyError for a tensor that it has no place for, or one that is missing.
    """
    converted: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.startswith(_OTHER_HEADS) or key in _SCALARS:
            continue
        if key == "init_levels":
            converted["start"] = tensor
        elif key.startswith(_TOKENIZER):
            converted["tokenizer." + key.removeprefix(_TOKENIZER)] = tensor
        elif key.startswith(_PROBE):
            converted["probe." + key.removeprefix(_PROBE)] = tensor
        elif match := _NETWORK.fullmatch(key):
            name, new = _network_key(*match.groups())
            converted[new] = _top_last(tensor, levels - 1) if name == "top_down" and "linears" in new else tensor
        else:
            raise KeyError(f"its tensor {key} has no place in it")
    missing = [name for name in _SCALARS if name not in state]
    if missing:
        raise KeyError(f"the weights {', '.join(missing)} of its updates are missing")
    converted["weights"] = torch.stack([state[name] for name in _SCALARS])
    return converted


def _network_key(name: str, position: str, tensor: str) -> tuple[str, str]:
    """Norms are at 1, 4, 7 ... of the original's sequence, the linear layer of each comes right after."""
    layer, kind = divmod(int(position) - 1, 3)
    ours = "encoder" if name == "levels_encoder" else name
    return name, f"{ours}.{'norms' if kind == 0 else 'linears'}.{layer}.{tensor}"


def _top_last(tensor: Tensor, groups: int) -> Tensor:
    """The original runs the levels of its top-down network from the top; ours are in the order of the levels."""
    return tensor.unflatten(0, (groups, -1)).flip(0).flatten(0, 1)


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "imagenette_distilled": {"size": 224, "patch_size": 4, "dim": 256, "levels": 3},
    "imagenette": {"size": 256, "patch_size": 32, "dim": 2048, "levels": 2},
    "cifar10": {"size": 32, "patch_size": 4, "dim": 128, "levels": 2},
    "cifar100": {"size": 32, "patch_size": 4, "dim": 32, "levels": 2},
    "mnist": {"size": 28, "patch_size": 4, "dim": 64, "levels": 2},
    "fashion_mnist": {"size": 28, "patch_size": 4, "dim": 64, "levels": 2},
    "small_norb": {"size": 48, "patch_size": 24, "dim": 32, "levels": 2},
    "imagenet": {"size": 256, "patch_size": 32, "dim": 32, "levels": 2},
}
"""The networks of the published configuration files. All but the first were trained with a contrastive loss."""


def configuration(name: str) -> StudentOptions:
    """The network of a published configuration.

    Raises:
        UserError: there is none of that name, or it cannot be built as published; the text gives the reason.
    """
    if name not in CONFIGURATIONS:
        raise UserError(f"no published configuration {name!r}; there are {', '.join(CONFIGURATIONS)}")
    try:
        return StudentOptions(**CONFIGURATIONS[name])
    except ValidationError as error:
        reason = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise UserError(f"{name} cannot work as published: {reason}") from None
