"""The other door to the stages: `regionflow masks photo.jpg --out out` runs what rule `masks` runs, no Snakemake."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from rich.progress import track

from regionflow.base.errors import UserError
from regionflow.config.load import ConfigError, load_config
from regionflow.config.types import GROUPS, Config
from regionflow.formats.regions import masks_of, read_regions
from regionflow.images.find import ImageEntry, find_images
from regionflow.images.options import ImagesOptions
from regionflow.run.job import Job
from regionflow.run.models import ModelCache
from regionflow.run.stage import run_whole
from regionflow.run.stages import STAGES, runtime, stage_options

# Stages of a single image.
OFFERED = [name for name, stage in STAGES.items() if stage.outputs]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage over an image or a folder, or export mask files; mistakes end with a message and exit code 1."""
    parser = argparse.ArgumentParser(prog="regionflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for stage in OFFERED:
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
    from regionflow.base.files import write_table
    from regionflow.exports.amg import export_amg
    from regionflow.formats.nesting import coverage

    root, files = (masks.parent, [masks]) if masks.is_file() else (masks, sorted(masks.rglob("*.json")))
    if not files:
        raise UserError(f"{masks} holds no mask file (.json); give a file or a folder such as results/masks/sam_vit_h")
    rows = []
    for path in track(files, description="amg", disable=not sys.stderr.isatty()):
        file = read_regions(path)
        image = path.relative_to(root).with_suffix("")
        export_amg(file.annotations, out / (image if form == "png" else image.with_suffix(".json")), form)
        height, width = file.size
        rows.append([image.as_posix(), len(file.annotations), round(coverage(masks_of(file), height, width), 6)])
    write_table(out / "masks.csv", ("image", "masks", "coverage"), rows)


def run(stage: str, images: dict[str, ImageEntry], out: Path, config: Config, variant: str | None = None) -> None:
    """Run a stage over images by id as cold jobs of the workflow run; files get the images' names."""
    declared = STAGES[stage]
    names = {GROUPS[declared.group]: variant or declared.default}
    if names[GROUPS[declared.group]] not in getattr(config, declared.group):
        raise ConfigError(f"{variant!r} is not declared under {declared.group} in the configuration")
    options, models = stage_options(config, stage, names), ModelCache()
    device = _device(declared.uses_card(config, names))
    for image, entry in track(images.items(), description=stage, disable=not sys.stderr.isatty()):
        job = Job.to_json(
            stage,
            inputs={"image": entry.path},
            outputs={name: out / f"{image}{suffix}" for name, suffix in declared.outputs.items()},
            options=options,
            names={**names, "image": image},
            runtime=runtime(config),
            threads=config.runtime.model_threads,
        )
        run_whole(job, device, models, _scripts())


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
