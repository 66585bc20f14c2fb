"""Students on disk: ours, and the original's checkpoints."""

from pathlib import Path
from typing import Any

import torch

from regionflow.base.errors import BadFile, UserError
from regionflow.formats.part_model import StoredModel, read_part_model, write_part_model
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.options import StudentOptions
from regionflow.parts.published import load_original


def load_student(model: Agglomerator, path: Path) -> None:
    """Load the weights of a trained student into one of the same options, in place: ours, or the original's .ckpt.

    Raises CheckpointError or UserError, naming the file, if it does not fit.
    """
    if path.suffix != ".safetensors":
        load_original(model, None, path)
        return
    stored = read_part_model(path)
    if stored.options != model.options.canonical():
        differ = [key for key, value in model.options.canonical().items() if stored.options.get(key) != value]
        raise UserError(f"{path} was trained with other options of parts.student ({', '.join(differ)})")
    model.load_state_dict(stored.weights)


def read_student(path: Path, device: str = "cpu") -> Agglomerator:
    """A trained student in eval mode. Raises BadFile, naming the file, if it is none."""
    stored = read_part_model(path)
    try:
        model = Agglomerator(StudentOptions(**stored.options))
        model.load_state_dict(stored.weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadFile.damaged(path, "a student", str(error).splitlines()[0]) from None
    return model.to(device).eval().requires_grad_(False)


def write_student(path: Path, model: Agglomerator, provenance: dict[str, Any]) -> None:
    """Write a trained student."""
    with torch.no_grad():
        write_part_model(path, StoredModel(dict(model.state_dict()), model.options.canonical(), provenance))
