"""Whether timm's own weights of a model are in the download cache, found without importing torch."""

import os
from collections.abc import Iterator
from pathlib import Path

from regionflow.weights.download import reachable

HUB = "https://huggingface.co"


def cannot_be_had(model: str) -> Iterator[str]:
    """One line, with what to fetch, if no weights of that name are cached and the hub cannot be reached.

    A model whose weights timm takes from elsewhere is left to timm: any file among torch's downloads may be it.
    """
    name = model.removeprefix("hf-hub:").rpartition("/")[2]
    if _is_cached(name) or any(_torch_downloads().glob("*")) or reachable(HUB):
        return
    yield (
        f"model: the weights of {model} are not in the download cache, and {HUB} cannot be reached: fetch "
        f"{HUB}/timm/{name}/resolve/main/model.safetensors on another machine and name the file under `checkpoint`"
    )


def _is_cached(name: str) -> bool:
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = Path(HF_HUB_CACHE).glob(f"models--*--{name}/snapshots/*")
    return any(any(folder.iterdir()) for folder in folders if folder.is_dir())


def _torch_downloads() -> Path:
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch"
    return Path(home) / "hub" / "checkpoints"
