"""The base of every options class: strict types, unknown keys refused, immutable."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Options that change an output. What does not (device, batch sizes, threads) lives in `RuntimeOptions`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)

    def canonical(self) -> dict[str, Any]:
        """All fields, defaults included, as JSON types: equal options give equal JSON."""
        return self.model_dump(mode="json")


def canonical_json(value: Any) -> str:
    """One line of JSON with sorted keys: the form in which Snakemake records and compares parameters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
