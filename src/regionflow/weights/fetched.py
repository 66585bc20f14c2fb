"""Weights that a library fetches when it loads a model: whether they lie in its cache, and what to do where not.

timm, transformers and open_clip fetch by huggingface_hub, or by torch.hub from an address. A machine without network
is told before any job what to fetch elsewhere; nothing here downloads anything, nor imports torch.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from regionflow.weights.download import reachable


@dataclass(frozen=True)
class Fetched:
    """One file that is fetched: any of `names` of a repository of the hub, the first if none is there; or a URL.

    folder: where a file from a URL is kept; None where torch.hub keeps them.
    """

    repo: str = ""
    names: tuple[str, ...] = ()
    url: str = ""
    folder: str | None = None

    @property
    def address(self) -> str:
        """Where it can be fetched by hand."""
        return f"{_hub()}/{self.repo}/resolve/main/{self.names[0]}" if self.repo else self.url

    def is_here(self) -> bool:
        """Whether it lies in the download cache."""
        if not self.repo:
            folder = _torch_downloads() if self.folder is None else Path(self.folder).expanduser()
            return (folder / Path(urlsplit(self.url).path).name).is_file()
        snapshots = _hub_cache() / f"models--{self.repo.replace('/', '--')}" / "snapshots"
        return any((folder / name).is_file() for folder in snapshots.glob("*") for name in self.names)

    def to_json(self) -> dict[str, Any]:
        """As JSON types, to be remembered."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**{**values, "names": tuple(values["names"])})


def either(name: str) -> tuple[str, ...]:
    """The names under which the libraries look for a weight file of the hub: safetensors first."""
    return tuple(dict.fromkeys([f"{name.removesuffix('.bin').removesuffix('.pth')}.safetensors", name]))


WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""A weight file of timm and transformers."""


def cannot_be_had(files: Sequence[Fetched], key: str, what: str, place: str) -> Iterator[str]:
    """One line, as "key: reason", if files of a model are neither in the download cache nor to be fetched from here.

    what: whose files they are; place: what to do with them once they are fetched by hand.
    """
    missing = [file for file in files if not file.is_here()]
    reasons = list(dict.fromkeys(reason for file in missing if (reason := _why_not(file))))
    if reasons:
        addresses = " and ".join(file.address for file in missing)
        yield (
            f"{key}: {what} is not in the download cache, and {' and '.join(reasons)}: fetch {addresses} on another "
            f"machine and {place}"
        )


def _why_not(file: Fetched) -> str | None:
    """Why a file cannot be fetched from here."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if file.repo and HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return None if reachable(file.address) else f"{urlsplit(file.address).hostname} cannot be reached"


def _hub() -> str:
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _torch_downloads() -> Path:
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"
