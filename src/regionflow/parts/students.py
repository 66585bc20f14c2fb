"""Students on disk: ours, and the original's checkpoints."""

import json
from pathlib import Path
from typing import Any

import torch

from regionflow.base.errors import BadFile
from regionflow.formats.part_model import StoredModel, read_part_model, write_part_model
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.options import StudentOptions
from regionflow.parts.published import load_original
from regionflow.weights.checkpoint import CheckpointError, what_does_not_fit


def load_student(model: Agglomerator, path: Path) -> None:
    """Load the weights of a trained student into one of the same network, in place: ours, or the original's .ckpt.

    Raises CheckpointError, naming the file, if it is damaged, does not fit, or holds numbers that are not finite.
    """
    if path.suffix == ".safetensors":
        _load_ours(model, path)
    else:
        load_original(model, None, path)
    _check_finite(model, path)


def _load_ours(model: Agglomerator, path: Path) -> None:
    try:
        stored = read_part_model(path)
    except BadFile as error:
        # Its own advice is to delete a result and make it again; this is a file that somebody keeps.
        raise CheckpointError(
            f"{path} is not a student of this project, or damaged ({error.__cause__ or error}). Name a "
            "model.safetensors of an earlier run, or the original's .ckpt, under parts.training.start."
        ) from None
    # What the weights of an update started at is no property of the network.
    ours = {key: value for key, value in model.options.canonical().items() if key != "start_weight"}
    theirs = {key: stored.options.get(key) for key, value in ours.items() if stored.options.get(key) != value}
    if theirs:
        as_there = ", ".join(f"{key}: {json.dumps(value)}" for key, value in theirs.items())
        raise CheckpointError(f"{path} was trained with other options; set them in parts.student as there ({as_there})")
    try:
        model.load_state_dict(stored.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not hold a whole student: {what_does_not_fit(error)}") from None


def _check_finite(model: Agglomerator, path: Path) -> None:
    bad = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    if bad:
        raise CheckpointError(
            f"{path} holds weights that are not finite numbers in {len(bad)} tensors, {bad[0]} first: its training "
            "failed, or it is damaged. Name another checkpoint under parts.training.start."
        )


def read_student(path: Path, device: str = "cpu") -> Agglomerator:
    """A trained student in eval mode. Raises BadFile, naming the file, if it is none."""
    stored = read_part_model(path)
    try:
        model = Agglomerator(StudentOptions(**stored.options))
        model.load_state_dict(stored.weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadFile.damaged(path, "a student", what_does_not_fit(error)) from None
    return model.to(device).eval().requires_grad_(False)


def write_student(path: Path, model: Agglomerator, provenance: dict[str, Any]) -> None:
    """Write a trained student."""
    with torch.no_grad():
        write_part_model(path, StoredModel(dict(model.state_dict()), model.options.canonical(), provenance))
