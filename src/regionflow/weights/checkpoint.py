"""Weights files: read without running anything in them, and refused with a sentence that says what they are.

`torch.load` runs only with `weights_only=True` and there is no second try without it: a checkpoint is data, and a
file that wants more than tensors is not one.
"""

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from regionflow.base.errors import UserError
from regionflow.weights.torchscript import is_torchscript, load_tensors


class CheckpointError(UserError):
    """A weights file that cannot be used; the message names the file and says what it holds instead."""


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """All tensors of a .pth/.pt file (zip, TorchScript or the older pickle form) or a .safetensors file, on the CPU.

    Those that a training run has wrapped are unwrapped by the rule of `unwrapped`, which prints what it took.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, would run code, or holds NaN.
    """
    state = _load(path)
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and torch.isnan(tensor).any()]
    if bad:
        raise CheckpointError(
            f"{path} holds weights that are not numbers (NaN) in {len(bad)} of {len(state)} tensors, {bad[0]} first: "
            "its training failed, or it is damaged. Use another checkpoint."
        )
    return state


def _load(path: Path) -> dict[str, Tensor]:
    head = _head(path)
    if _is_safetensors(head):
        return _load_safetensors(path)
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        raise CheckpointError(f"{path} is not a checkpoint: it is {_what(head)}. Download the weights again.")
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is truncated: its zip directory is missing. Download the weights again.")
    try:
        if head.startswith(b"PK") and is_torchscript(path):
            print(f"{path} is a TorchScript archive: its tensors are read, its code is not run")
            return load_tensors(path)
        # A Namespace holds values only: the arguments that DINO's training keeps beside its weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = unwrapped(path, torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refused_pickle(path, str(error))) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is truncated or damaged ({first_line}). Download the weights again.") from None
    if not (isinstance(state, dict) and all(isinstance(v, Tensor) for v in state.values())):
        held = ", ".join(map(str, list(state)[:5])) if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(f"{path} is not a state dict of tensors: it holds {held}. Save model.state_dict() alone.")
    return state


WRAPPERS = ("teacher", "model", "state_dict")
"""Keys under which training runs keep a state dict. The first of them is taken: DINO publishes its teacher."""


def unwrapped(path: Path, state: Any) -> Any:
    """The state dict in a training state, and what was read printed; anything else as it is.

    The rule: of a dict that holds other things than tensors the dict under the first of WRAPPERS is taken, and again if
    that is such a dict. Of a teacher with a `backbone.` (DINO, DINOv2) that part alone. A prefix `module.` of all keys
    (DataParallel) and `backbone.` of a teacher go.
    """
    taken: list[str] = []
    while isinstance(state, Mapping) and not all(isinstance(value, Tensor) for value in state.values()):
        key = next((key for key in WRAPPERS if isinstance(state.get(key), Mapping)), None)
        if key is None:
            return state
        state, taken = state[key], [*taken, f"the tensors under {key!r}"]
    state, taken = _without_prefix(state, "module.", taken)
    if taken and "'teacher'" in taken[0]:
        backbone = {key: value for key, value in state.items() if key.startswith("backbone.")}
        if backbone:
            left = len(state) - len(backbone)
            state, taken = _without_prefix(backbone, "backbone.", taken)
            taken.append(f"{left} tensors of its heads left out")
    if taken:
        print(f"{path}: read {', '.join(taken)}")
    return state


def _without_prefix(state: Any, prefix: str, taken: list[str]) -> tuple[Any, list[str]]:
    """A state dict whose keys all have the prefix without it, and that told; others as they are."""
    named = isinstance(state, Mapping) and state and all(str(key).startswith(prefix) for key in state)
    if not named:
        return state, taken
    return {key.removeprefix(prefix): value for key, value in state.items()}, [*taken, f"keys without {prefix!r}"]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist. Give the path of a weights file.") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.").of_the_moment() from None


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{"


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is a damaged safetensors file ({error}). Download the weights again.") from None


def _what(head: bytes) -> str:
    """What a file that is no checkpoint seems to be, from its first bytes."""
    text = head.lstrip().lower()
    if not head:
        return "an empty file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "an HTML page, as a server sends instead of the file when a link has moved or needs a login"
    if text.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the file it points to"
    if text.startswith(b"{"):
        return "a JSON text"
    return f"a file that starts with the bytes {head[:8].hex(' ')}"


def _refused_pickle(path: Path, message: str) -> str:
    """One sentence for a pickle that torch refused; nothing in it has been run."""
    found = re.search(r"GLOBAL ([\w.]+)", message)
    if found:
        return f"{path} is refused: its pickle asks for {found[1]}, which is not a tensor. Nothing in it was run."
    return f"{path} is not a checkpoint: its pickle holds more than tensors or is damaged. Nothing in it was run."


def what_does_not_fit(error: Exception) -> str:
    """What torch says of tensors that a network does not take, in a line: how many, and the first of them.

    torch's own text names every tensor, thousands for a large model.
    """
    text = str(error)
    parts = []
    for begins, said in (
        ("Missing key(s) in state_dict: ", "missing"),
        ("Unexpected key(s) in state_dict: ", "unknown"),
    ):
        line = next((line for line in text.splitlines() if begins in line), "")
        keys = re.findall(r'"([^"]+)"', line)
        if keys:
            parts.append(f"{len(keys)} tensors {said} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})")
    shapes = [line.strip().rstrip(".") for line in text.splitlines() if line.strip().startswith("size mismatch")]
    if shapes:
        parts.append(f"{len(shapes)} tensors of another shape ({shapes[0].removeprefix('size mismatch for ')})")
    return "; ".join(parts) or (text.strip().splitlines() or [type(error).__name__])[0]
