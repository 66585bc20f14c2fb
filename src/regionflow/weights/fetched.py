"""Weights that a library fetches when it loads a model: whether they lie in its cache, and what to do where not.

timm, transformers and open_clip fetch by huggingface_hub, or by torch.hub from an address. A machine without network
is told before any job what to fetch elsewhere. Elsewhere large files are fetched here, into the cache in which the
library looks, so that people see how far they are.
"""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from regionflow.weights.download import DownloadError, Progress, reachable
from regionflow.weights.progress import told


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
    stem = name.removesuffix(".safetensors").removesuffix(".bin").removesuffix(".pth")
    return tuple(dict.fromkeys([f"{stem}.safetensors", name]))


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


def fetch(file: Fetched) -> None:
    """Fetch a file of the hub into the download cache, unless it is there; what is no file of the hub is left alone.

    huggingface_hub goes on where an earlier try broke off. Raises DownloadError if the file cannot be had.
    """
    if not file.repo or file.is_here():
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in file.names:
        try:
            with told(f"{file.repo}/{name}") as progress:
                hf_hub_download(file.repo, name, tqdm_class=_bar(progress))
            return
        except LocalEntryNotFoundError as error:  # no network: another name would not be found either
            raise _not_had(file, error) from error
        except EntryNotFoundError:
            continue
        except Exception as error:
            # huggingface_hub and the libraries below it raise errors without a common base.
            raise _not_had(file, error) from error
    raise DownloadError(f"{file.repo} on the hub has none of {', '.join(file.names)}")


def _not_had(file: Fetched, error: Exception) -> DownloadError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DownloadError(f"{file.address} cannot be had ({lines[0][:200]})")


def _bar(progress: Progress) -> Any:
    """A bar, as huggingface_hub wants one, that shows nothing and tells the bytes that are there."""
    from tqdm import tqdm

    class Told(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            progress(int(self.n), None if self.total is None else int(self.total))
            return shown

    return Told


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
