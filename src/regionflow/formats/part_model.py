"""Trained networks of part-whole hierarchies: .safetensors with the options and what made them as metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from regionflow.base.errors import BadFile
from regionflow.base.files import whole
from regionflow.base.options import canonical_json
from regionflow.formats.checksums import note_file


@dataclass(frozen=True)
class StoredModel:
    """Weights by name, the options of the network, and what made it."""

    weights: dict[str, Tensor]
    options: Mapping[str, Any]
    provenance: Mapping[str, Any]


def write_part_model(path: Path, model: StoredModel) -> None:
    """Write a network."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.weights.items()}
    metadata = {"options": canonical_json(dict(model.options)), "provenance": canonical_json(dict(model.provenance))}
    with whole(path) as part:
        part.write_bytes(save(weights, metadata))  # a file by save_file is its owner's alone, whatever the umask


def read_part_model(path: Path) -> StoredModel:
    """Read a network onto the CPU.

    Raises BadFile, naming the file, if it is no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            if metadata is None or not {"options", "provenance"} <= metadata.keys():
                raise ValueError("its head does not say what network it is of")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        note_file(path)
        return StoredModel(weights, json.loads(metadata["options"]), json.loads(metadata["provenance"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadFile.damaged(path, "a trained network of parts", error) from error
