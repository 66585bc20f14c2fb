"""The other door to the stages: `regionflow masks photo.jpg --out out` runs what rule `masks` runs, no Snakemake."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from rich.progress import track

from regionflow.base.errors import UserError
from regionflow.config.load import ConfigError, load_config
from regionflow.config.types import Config, ImagesOptions
from regionflow.formats import regions as records
from regionflow.images.find import ImageEntry, find_images
from regionflow.run import stages
from regionflow.run.job import Job, ModelCache
from regionflow.run.stage import load_adapter, temporary_name

# Stages of a single image: the wildcard that names their variant, its group and default, and their outputs.
STAGES = {
    "masks": ("segmenter", "segmenters", "graph", {"masks": ".json"}),
    "superpixels": ("superpixels", "superpixels", "slic", {"labels": ".png", "regions": ".json"}),
    "features": ("extractor", "extractors", "daisy_lab", {"features": ".h5"}),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage over an image or a folder, or export mask files; mistakes end with a message and exit code 1."""
    parser = argparse.ArgumentParser(prog="regionflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for stage in STAGES:
        _stage_arguments(commands.add_parser(stage, help=f"{stage} of images"))
    _amg_arguments(commands.add_parser("amg", help="mask files in the forms of segment-anything's amg.py"))
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "amg":
            export_masks(chosen.masks, chosen.out, chosen.form)
            return
        config = load_config(yaml.safe_load(chosen.config.read_text()) if chosen.config else {})
        images = _images(chosen.images, config.images)
        run(chosen.command, images, chosen.out, config, chosen.variant)
    except (UserError, FileNotFoundError) as error:
        sys.exit(f"regionflow: {error}")


def _stage_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, help="an image, or a folder that is searched with its sub-folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument(
        "--variant", help="name of the segmenter, superpixels or extractor (default: the one that needs no weights)"
    )
    parser.add_argument("--config", type=Path, help="configuration file (default: the built-in configuration)")


def _amg_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("masks", type=Path, help="a mask file, or a folder of them such as results/masks/sam_vit_h")
    parser.add_argument("--out", type=Path, required=True, help="folder for the output and masks.csv")
    parser.add_argument(
        "--form",
        choices=["png", "json"],
        default="png",
        help="png: a folder per image with a PNG per mask, metadata.csv and parents.csv; json: a list per image",
    )


def export_masks(masks: Path, out: Path, form: Literal["png", "json"]) -> None:
    """Write mask files as amg.py does, and masks.csv: how many masks each image has and how much of it they cover.

    Raises:
        UserError: there is no mask file, or one is damaged; the message names it.
    """
    # The other stages need neither.
    from regionflow.exports.amg import export_amg, write_table
    from regionflow.formats.nesting import coverage

    root, files = (masks.parent, [masks]) if masks.is_file() else (masks, sorted(masks.rglob("*.json")))
    if not files:
        raise UserError(f"{masks} holds no mask file (.json); give a file or a folder such as results/masks/sam_vit_h")
    rows = []
    for path in track(files, description="amg", disable=not sys.stderr.isatty()):
        file = records.read(path)
        image = path.relative_to(root).with_suffix("")
        export_amg(file.annotations, out / (image if form == "png" else image.with_suffix(".json")), form)
        height, width = file.size
        rows.append([image.as_posix(), len(file.annotations), round(coverage(records.masks(file), height, width), 6)])
    write_table(out / "masks.csv", ("image", "masks", "coverage"), rows)


def run(stage: str, images: dict[str, ImageEntry], out: Path, config: Config, variant: str | None = None) -> None:
    """Run a stage over images by id; files get the images' names, each written whole or not at all."""
    wildcard, group, default, suffixes = STAGES[stage]
    names = {wildcard: variant or default}
    if names[wildcard] not in getattr(config, group):
        raise ConfigError(f"{names[wildcard]!r} is not declared under {group} in the configuration")
    options = stages.stage_options(config, stage, names)
    models, device = ModelCache(), _device(stages.STAGES[stage].model(config, names))
    adapter = load_adapter(_scripts(), stage)
    for image, entry in track(images.items(), description=stage, disable=not sys.stderr.isatty()):
        final = {name: out / f"{image}{suffix}" for name, suffix in suffixes.items()}
        drafts = {name: temporary_name(path, str(os.getpid())) for name, path in final.items()}
        next(iter(final.values())).parent.mkdir(parents=True, exist_ok=True)
        job = Job(
            stage,
            inputs={"image": entry.path},
            outputs=drafts,
            options=options,
            names={**names, "image": image},
            runtime={**config.runtime.canonical(), "on_bad_image": config.images.on_bad_image},
            device=device,
            models=models,
        )
        try:
            adapter(job)
            for name, path in final.items():
                drafts[name].replace(path)
        finally:
            for draft in drafts.values():
                draft.unlink(missing_ok=True)


def _images(path: Path, options: ImagesOptions) -> dict[str, ImageEntry]:
    if path.is_file():
        return {path.stem: ImageEntry(path, "")}
    return find_images(options.model_copy(update={"dir": str(path), "table": None}))


def _device(uses_model: bool) -> str:
    """The card of a machine that has one, for a stage that can use it; torch is not imported for the others."""
    if not uses_model:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _scripts() -> Path:
    """The adapters: beside the library in an installed package, in workflow/scripts of a checkout."""
    installed = Path(__file__).parent / "scripts"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "workflow" / "scripts"
