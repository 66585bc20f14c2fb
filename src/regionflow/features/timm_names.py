"""Which models timm has, and where it gets their weights."""

from difflib import get_close_matches
from typing import Any

import timm
from torch import nn

from regionflow.features.errors import ExtractorError
from regionflow.weights.fetched import WEIGHTS, Fetched, either


def check_name(name: str) -> None:
    """Raise ExtractorError with the nearest names if timm has no model of that name."""
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        near = get_close_matches(name, sorted(known), n=5, cutoff=0.5)
        hint = f"the nearest names are {', '.join(near)}" if near else "see timm.list_models(pretrained=True)"
        raise ExtractorError(f"timm {timm.__version__} has no model {name!r}; {hint}")


def fetched(name: str) -> Fetched | None:
    """The file that timm fetches for the pretrained model of that name; None if there are no such weights."""
    config: Any = timm.models.get_pretrained_cfg(name)
    if config is None:
        return None
    if config.hf_hub_id:
        names = either(config.hf_hub_filename) if config.hf_hub_filename else WEIGHTS
        return Fetched(repo=config.hf_hub_id, names=names)
    return Fetched(url=config.url) if config.url else None


def pooled_width(model: nn.Module) -> int:
    """Numbers in the pooled features of a timm model, before its classifier."""
    # Some models widen them once more after their last stage.
    return int(getattr(model, "head_hidden_size", None) or model.num_features)  # type: ignore[arg-type]
