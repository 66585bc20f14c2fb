"""The other door to the stages: `regionflow masks photo.jpg --out out` runs what rule `masks` runs, no Snakemake."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.progress import track

from regionflow import stages
from regionflow.config.load import ConfigError, load_config
from regionflow.config.types import Config, ImagesOptions
from regionflow.discover import ImageEntry, find_images
from regionflow.errors import UserError
from regionflow.job import Job, ModelCache
from regionflow.warm.stage import load_adapter, temporary_name

# Stages of a single image: the wildcard that names their variant, its group and default, and their outputs.
STAGES = {
    "masks": ("segmenter", "segmenters", "graph", {"masks": ".json"}),
    "superpixels": ("superpixels", "superpixels", "slic", {"labels": ".png", "regions": ".json"}),
    "features": ("extractor", "extractors", "daisy_lab", {"features": ".h5"}),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage over an image or a folder; mistakes end with a message and exit code 2."""
    parser = argparse.ArgumentParser(prog="regionflow", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("images", type=Path, help="an image, or a folder that is searched with its sub-folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument(
        "--variant", help="name of the segmenter, superpixels or extractor (default: the one that needs no weights)"
    )
    parser.add_argument("--config", type=Path, help="configuration file (default: the built-in configuration)")
    chosen = parser.parse_args(arguments)
    try:
        config = load_config(yaml.safe_load(chosen.config.read_text()) if chosen.config else {})
        images = _images(chosen.images, config.images)
        run(chosen.stage, images, chosen.out, config, chosen.variant)
    except (UserError, FileNotFoundError) as error:
        sys.exit(f"regionflow: {error}")


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
