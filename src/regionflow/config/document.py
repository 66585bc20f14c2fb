"""Write config/schema.json and config/README.md from the types: `python -m regionflow.config.document FOLDER`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regionflow.config.builtin import BUILTIN
from regionflow.config.types import Config

PREAMBLE = """# Configuration

`config/config.yaml` holds what differs from the defaults below. Unknown keys and wrong types are refused before any
job starts, all at once, each with the path of its key. A second file is laid over it with
`snakemake --cores all --configfile my.yaml`, a single key with `snakemake --cores all --config clusters='{k: 46}'`.

Named groups (`segmenters`, `superpixels`, `regions`, `extractors`, `labelers`) take any number of variants; `targets`
chooses which are made. Files of other variants stay where they are.

This file and schema.json are written from `src/regionflow/config/types.py` and the options beside the
code that uses them, by `make config-docs`; a test fails when they differ.
"""


def schema() -> str:
    """The JSON schema of the configuration."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:regionflow:config"}
    return json.dumps(about | Config.model_json_schema(), indent=1) + "\n"


def reference() -> str:
    """The reference of all keys in Markdown."""
    root = Config.model_json_schema()
    lines = [PREAMBLE]
    for name, section in root["properties"].items():
        lines += [f"## {name}", ""]
        if "$ref" not in section:
            lines += [_text(section), ""]
        if name in BUILTIN:
            lines += [f"Built in: {', '.join(f'`{variant}`' for variant in BUILTIN[name])}.", ""]
        lines += list(_section(name, section, root["$defs"]))
    return "\n".join(lines)


def _section(name: str, section: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    # A section of named variants, or one that stands for itself: an object, or one kind of several.
    is_group = "$ref" not in section and "anyOf" not in section
    for title, definition in _objects(section, definitions):
        key = f"{name}.<name>" if is_group else name
        if title:
            yield f"### {title}"
            yield ""
        yield from (definition.get("description", ""), "", "| key | type | default | meaning |", "|---|---|---|---|")
        yield from _rows(key, definition, definitions)
        yield ""


def _rows(key: str, definition: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """One row per key, those of options within options after each other."""
    for field, value in definition["properties"].items():
        if "properties" in (inner := definitions.get(value.get("$ref", "").rsplit("/", 1)[-1], {})):
            yield from _rows(f"{key}.{field}", inner, definitions)
            continue
        default = json.dumps(value["default"]) if "default" in value else "required"
        yield f"| `{key}.{field}` | {_type(value, definitions)} | `{default}` | {_text(value)} |"


def _objects(section: dict[str, Any], definitions: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The options objects of a section: one, or for named variants one per type, with a title."""
    if "$ref" in section:
        yield None, definitions[section["$ref"].rsplit("/", 1)[1]]
        return
    if "anyOf" in section:
        variants = next(v for v in section["anyOf"] if "discriminator" in v)
    else:
        variants = section.get("additionalProperties") or next(iter(section["patternProperties"].values()))
    if "$ref" in variants:
        yield "", definitions[variants["$ref"].rsplit("/", 1)[1]]
        return
    for kind, ref in sorted(variants["discriminator"]["mapping"].items()):
        yield f"`type: {kind}`", definitions[ref.rsplit("/", 1)[1]]


def _type(value: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{v}`" for v in value["enum"])
    if either := value.get("anyOf", value.get("oneOf")):
        return " or ".join(_type(v, definitions) for v in either)
    if "$ref" in value:
        return _type(definitions[value["$ref"].rsplit("/", 1)[1]], definitions)
    if value["type"] == "array":
        return f"list of {_type(value['items'], definitions)}" if "items" in value else "list"
    limits = [
        f"{sign} {value[key]:g}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in value
    ]
    return " ".join([value["type"], *limits])


def _text(value: dict[str, Any]) -> str:
    return " ".join(value.get("description", "").split())


def main(folder: str) -> None:
    """Write both files into the folder."""
    (Path(folder) / "schema.json").write_text(schema(), encoding="utf-8")
    (Path(folder) / "README.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
