"""Commands that run one stage over images, and the list of variants that they can make."""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from rich.progress import track

from regionflow.base.errors import UserError
from regionflow.base.options import Kind
from regionflow.cli.arguments import OFFERED
from regionflow.cli.paths import must_exist, refuse_existing
from regionflow.config.load import load_config, undeclared
from regionflow.config.types import GROUPS, Config
from regionflow.images.find import ImageEntry, find_set
from regionflow.images.options import ImagesOptions
from regionflow.run.job import Job
from regionflow.run.models import ModelCache
from regionflow.run.preflight import why_no_device
from regionflow.run.stage import run_whole
from regionflow.run.stages import STAGES, runtime, stage_options
from regionflow.weights.files import missing_here


def list_variants(chosen: argparse.Namespace) -> None:
    """Print each stage, and the variants that `--variant` takes with their kind.

    Raises UserError, naming the file, if the configuration is none.
    """
    print("\n".join(_variants(_config(chosen.config))))


def run_stage(chosen: argparse.Namespace) -> None:
    """Run a stage over images as cold jobs of the workflow run: the files are OUT/stage/variant/image.

    Raises:
        UserError: the configuration, an image, a variant, its weights or the device are not there, or an output is
            already; nothing was written.
    """
    config = _config(chosen.config)
    images = _images(chosen.images, chosen.out, config.images)
    _run(chosen.command, images, chosen.out, config, chosen.variant, overwrite=chosen.overwrite)


def _config(path: Path | None) -> Config:
    """The configuration in a file. Raises UserError, naming the file, if it is none."""
    if path is None:
        return load_config({})
    must_exist(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML in UTF-8 ({' '.join(str(error).split())})") from None
    if not isinstance(values or {}, dict):
        raise UserError(f"{path}: holds {type(values).__name__}, not keys and values")
    return load_config(values or {})


def _variants(config: Config) -> Iterator[str]:
    for stage in OFFERED:
        yield f"{stage} (from {STAGES[stage].group}):"
        for name, options in getattr(config, STAGES[stage].group).items():
            kind = getattr(options, "type", "")
            missing = isinstance(options, Kind) and any(True for _ in missing_here(options))
            notes = [kind] * bool(kind) + ["weights missing"] * missing + ["default"] * (name == STAGES[stage].default)
            yield f"  {name}" + (f"  ({', '.join(notes)})" if notes else "")


def _run(
    stage: str,
    images: dict[str, ImageEntry],
    out: Path,
    config: Config,
    variant: str | None = None,
    *,
    overwrite: bool = False,
) -> None:
    declared = STAGES[stage]
    variant = variant or declared.default
    if variant not in getattr(config, declared.group):
        raise undeclared(config, declared.group, variant)
    names = {GROUPS[declared.group]: variant}
    chosen = getattr(config, declared.group)[variant]
    if isinstance(chosen, Kind) and (problems := [*missing_here(chosen), *chosen.problems(), *chosen.needs_network()]):
        raise UserError("\n".join(f"{declared.group}.{variant}.{problem}" for problem in problems))
    uses_card = declared.uses_card(config, names)
    if uses_card and (reason := why_no_device(config.runtime.device)):
        raise UserError(f"runtime.device is {config.runtime.device}, but {reason}; set it to auto or cpu")
    outputs = {
        image: {name: out / stage / variant / f"{image}{suffix}" for name, suffix in declared.outputs.items()}
        for image in images
    }
    refuse_existing([path for paths in outputs.values() for path in paths.values()], overwrite)
    options, models, device = stage_options(config, stage, names), ModelCache(), _device(uses_card)
    for image, entry in track(images.items(), description=stage, disable=not sys.stderr.isatty()):
        job = Job.to_json(
            stage,
            inputs={"image": entry.path},
            outputs=outputs[image],
            options=options,
            names={**names, "image": image},
            runtime=runtime(config),
            threads=config.runtime.model_threads,
        )
        # What a stage says is for people; what was written is for other programs.
        with contextlib.redirect_stdout(sys.stderr):
            run_whole(job, device, models, _scripts())
        print("\n".join(map(str, outputs[image].values())))


def _images(paths: Sequence[Path], out: Path, options: ImagesOptions) -> dict[str, ImageEntry]:
    """The images of files and folders by id. Raises UserError for one that is not there, and for two of one id."""
    images: dict[str, ImageEntry] = {}
    for path in paths:
        must_exist(path)
        if path.is_dir():
            inside = options.model_copy(update={"dir": str(path), "table": None})
            in_folder = find_set(inside, outputs=[out / stage for stage in OFFERED])
            told = [*in_folder.told(), *(f"{file} is left out: {reason}" for file, reason in in_folder.left_out)]
            print("".join(f"{path}: {line}\n" for line in told), end="", file=sys.stderr)
            entries = in_folder.images
        else:
            entries = {path.stem: ImageEntry(path, "")}
        for image, entry in entries.items():
            if image in images and images[image].path.resolve() != entry.path.resolve():
                both = f"{images[image].path} and {entry.path}"
                raise UserError(f"{both} would both be {image!r} in {out}; run them with an --out each")
            images[image] = entry
    return images


def _device(uses_model: bool) -> str:
    """The card of a machine that has one, for a stage that can use it; torch is not imported for the others."""
    if not uses_model:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _scripts() -> Path:
    """The adapters: beside the library in an installed package, in workflow/scripts of a checkout."""
    library = Path(__file__).parents[1]
    installed = library / "scripts"
    return installed if installed.is_dir() else library.parents[1] / "workflow" / "scripts"
