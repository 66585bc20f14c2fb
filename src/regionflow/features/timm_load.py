"""timm models by name, with timm's own, local or random weights."""

import hashlib
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from regionflow.features.errors import ExtractorError
from regionflow.features.options import TimmOptions
from regionflow.features.positions import use_released_rule
from regionflow.features.timm_names import check_name, fetched
from regionflow.weights.checkpoint import load_state_dict, what_does_not_fit
from regionflow.weights.download import DownloadError
from regionflow.weights.fetched import fetch


def load_model(options: TimmOptions) -> nn.Module:
    """The model that the options name, on the CPU in float32 and eval mode, for any input size if it can.

    Raises ExtractorError for an unknown model, DownloadError for weights that cannot be had, CheckpointError for a
    damaged file.
    """
    check_name(options.model)
    if options.random_seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.random_seed)
            model = _create(options.model)
    elif options.checkpoint is not None:
        model = _from_file(options.model, Path(options.checkpoint))
    else:
        model = _pretrained(options.model)
    if not hasattr(model, "forward_intermediates"):
        raise ExtractorError(f"{options.model} gives no feature maps (timm has no forward_intermediates for it)")
    if options.position_embedding == "released":
        use_released_rule(model, options.model)
    return model.eval().requires_grad_(False)


def _create(name: str, **weights: Any) -> nn.Module:
    try:
        # Position embeddings are then interpolated (bicubic) to the grid of each input.
        return timm.create_model(name, dynamic_img_size=True, **weights)
    except TypeError as error:
        # Convolutional networks and some transformers do not know the argument: they take any size, or none but theirs.
        if "dynamic_img_size" not in str(error):
            raise
    return timm.create_model(name, **weights)


def _pretrained(name: str) -> nn.Module:
    try:
        if (weights := fetched(name)) is not None:
            fetch(weights)
        return _create(name, pretrained=True)
    except Exception as error:
        # The download libraries raise errors of many kinds without a common base.
        raise DownloadError(
            f"the weights of {name} are not in the download cache and cannot be fetched ({_first_line(error)}); "
            "connect once, or set `checkpoint` to a local file"
        ) from error


def _from_file(name: str, path: Path) -> nn.Module:
    state: dict[str, Tensor] | None = load_state_dict(path)
    try:
        # timm's own loading: keys of the original releases are converted, all must fit.
        model = _create(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    except (RuntimeError, KeyError) as error:
        raise ExtractorError(f"{path} does not hold the weights of {name}: {what_does_not_fit(error)}") from None
    model.pretrained_cfg.pop("state_dict", None)  # type: ignore[operator,union-attr]  # else the model keeps every tensor twice
    return model


def tensors_sha256(model: nn.Module) -> str:
    """sha256 of all weights of a model, wherever it is: it says what a name in the download cache stood for."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:200]
