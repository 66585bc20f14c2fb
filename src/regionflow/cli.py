"""The other door to the stages: `regionflow masks photo.jpg --out out` runs what rule `masks` runs, no Snakemake."""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import shtab
import yaml
from rich.progress import track

from regionflow import __version__
from regionflow.base.errors import UserError
from regionflow.base.options import Kind
from regionflow.config.load import load_config, undeclared
from regionflow.config.types import GROUPS, Config
from regionflow.formats.regions import masks_of, read_regions
from regionflow.images.find import ImageEntry, find_set
from regionflow.images.options import ImagesOptions
from regionflow.run.job import Job
from regionflow.run.models import ModelCache
from regionflow.run.preflight import why_no_device
from regionflow.run.stage import run_whole
from regionflow.run.stages import STAGES, runtime, stage_options
from regionflow.weights.files import missing_here

# Stages of a single image.
OFFERED = [name for name, stage in STAGES.items() if stage.outputs]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage over images, export mask files or list variants; mistakes end with a message and exit code 1."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "amg":
            export_masks(chosen.masks, chosen.out, chosen.form, chosen.overwrite)
            return
        if chosen.command == "scenes":
            write_scenes(chosen.folder, chosen.count, chosen.first_seed, chosen.overwrite)
            return
        if chosen.command == "verify":
            sys.exit(verify_results(chosen.results, chosen.keep, chosen.threads))
        if chosen.command == "search":
            search(chosen)
            return
        if chosen.command == "compare":
            compare_masks(chosen.a, chosen.b, chosen.out)
            return
        if chosen.command == "completion":
            print(shtab.complete(_parser(), chosen.shell))
            return
        config = _config(chosen.config)
        if chosen.command == "list":
            print("\n".join(_variants(config)))
            return
        images = _images(chosen.images, chosen.out, config.images)
        run(chosen.command, images, chosen.out, config, chosen.variant, overwrite=chosen.overwrite)
    except UserError as error:
        sys.exit(f"regionflow: {error}")
    except OSError as error:
        sys.exit(f"regionflow: {error.filename}: {error.strerror}" if error.filename else f"regionflow: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="regionflow", description=__doc__)
    parser.add_argument("--version", action="version", version=f"regionflow {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for stage in OFFERED:
        command = commands.add_parser(stage, help=f"{stage} of images")
        command.add_argument("images", type=Path, nargs="+", help="images, or folders that are searched throughout")
        _output_arguments(command, f"folder; the files are OUT/{stage}/VARIANT/IMAGE")
        command.add_argument("--variant", help=f"name from `regionflow list` (default: {STAGES[stage].default})")
        _config_argument(command)
    scenes = commands.add_parser("scenes", help="drawn scenes with ground truth, to evaluate on")
    scenes.add_argument("folder", type=Path, help="gets images/ and truth.json (COCO instances: wholes and parts)")
    scenes.add_argument("--count", type=int, default=100, help="number of scenes of 256 px (default: 100)")
    scenes.add_argument(
        "--first-seed", type=int, help="seed of the first scene (default: the scenes on which nothing was trained)"
    )
    scenes.add_argument("--overwrite", action="store_true", help="write over a set of scenes that is there")
    amg = commands.add_parser("amg", help="mask files in the forms of segment-anything's amg.py")
    amg.add_argument("masks", type=Path, help="a mask file, or a folder of them such as results/masks/sam_vit_h")
    _output_arguments(amg, "folder for the output and masks.csv")
    amg.add_argument(
        "--form",
        choices=["png", "json"],
        default="png",
        help="png: a folder per image with a PNG per mask, metadata.csv and parents.csv; json: a list per image",
    )
    _search_arguments(commands.add_parser("search", help="regions of a set like one region, or like words"))
    compare = commands.add_parser("compare", help="how far two sets of masks of the same images differ")
    compare.add_argument("a", type=Path, help="folder of mask or region files (results/masks/sam_vit_b), or results")
    compare.add_argument("b", type=Path, help="the other one")
    compare.add_argument("--out", type=Path, help="folder for a table per comparison, a row per image")
    verify = commands.add_parser(
        "verify", help="name and remove the files of results/ that are not what they should be"
    )
    verify.add_argument("results", type=Path, nargs="?", default=Path("results"), help="folder (default: results)")
    verify.add_argument("--keep", action="store_true", help="remove nothing")
    verify.add_argument("--threads", type=int, default=4, help="files read at once (default: 4)")
    completion = commands.add_parser("completion", help="the script by which a shell completes `regionflow ...`")
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    _config_argument(commands.add_parser("list", help="the variants that the stages can make"))
    return parser


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="folder (default: results)")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--region", nargs=2, metavar=("IMAGE", "NUMBER"), help="id of an image and number of its region")
    query.add_argument("--words", help='such as "a red roof"; synonyms after a bar: "sofa|couch"')
    parser.add_argument("--extractor", help="whose features are compared, where the results hold several")
    parser.add_argument("--regions", help="kind of regions, where the results hold several")
    parser.add_argument("-k", type=int, default=20, help="most regions that are listed (default: 20)")
    parser.add_argument("--out", type=Path, required=True, help="folder for hits.tsv and hits.jpg, a sheet of crops")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there (default: refuse)")
    words = parser.add_argument_group("with --words", "the model in whose space the features lie")
    words.add_argument("--model", default="ViT-B-16-quickgelu", help="open_clip's name (default: ViT-B-16-quickgelu)")
    words.add_argument("--pretrained", default="openai", help="open_clip's tag of the weights (default: openai)")
    words.add_argument("--checkpoint", help="local weight file instead")


def _output_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument("--out", type=Path, required=True, help=out)
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there (default: refuse)")


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="configuration file (default: the built-in configuration)")


def search(chosen: argparse.Namespace) -> None:
    """Write the regions nearest to a query as a table and a sheet of crops, and print the table.

    Raises UserError for a region, image or set that is not there, or a model of another space.
    """
    from regionflow.dataset import load
    from regionflow.search.command import like_region, like_words, write

    _refuse_existing([chosen.out / "hits.tsv", chosen.out / "hits.jpg"], chosen.overwrite)
    if chosen.k < 1:
        raise UserError(f"-k: {chosen.k} regions are none")
    regions = load(chosen.results, chosen.extractor, chosen.regions)
    if chosen.words is None:
        image, number = chosen.region
        hits, row = like_region(regions, image, number, chosen.k)
        table, picture = write(chosen.out, regions, hits, row)
    else:
        model = {"model": chosen.model, "pretrained": chosen.pretrained, "checkpoint": chosen.checkpoint}
        table, picture = write(chosen.out, regions, like_words(regions, chosen.words, chosen.k, **model))
    print(table.read_text(encoding="utf-8"), end="")
    print(f"{table}\n{picture}", file=sys.stderr)


def compare_masks(a: Path, b: Path, out: Path | None = None) -> None:
    """Print how far two sets of masks differ, and write a table per comparison.

    Raises UserError if there is nothing to compare.
    """
    from regionflow.evaluate.compare import compare, pairs, write_comparison

    for name, first, second in pairs(a, b):
        result = compare(first, second)
        if not result.images:
            raise UserError(f"{first} and {second} have no image in common")
        differing = sum(not image.same for image in result.images)
        print(f"{name or f'{first} and {second}'}: {len(result.images)} images, {differing} ({result.differing:.1%}) "
              f"with another set of masks, mean best IoU {result.mean_best_iou:.4f}")  # fmt: skip
        for side, alone in ((first, result.only_a), (second, result.only_b)):
            if alone:
                print(f"  {len(alone)} image(s) only in {side}: {', '.join(alone[:5])}{' ...' * (len(alone) > 5)}")
        if out is not None:
            path = out / f"{name or 'comparison'}.tsv"
            write_comparison(path, result)
            print(f"  {path}")


def verify_results(results: Path, keep: bool = False, threads: int = 4) -> int:
    """Name every unsound file of a results folder and remove it, unless `keep`; 1 if something is left to be done.

    Raises UserError if there is no such folder.
    """
    from regionflow.verify import files, remove, verify

    if not results.is_dir():
        raise UserError(f"{results}: no such folder")
    problems = list(verify(results, threads))
    for _, problem in problems:
        print(problem)
    removed = [] if keep else remove(problems)
    count, unsound = len(files(results)) + len(removed), sum(problem.unsound for _, problem in problems)
    again = "; run snakemake again, with the same targets, to remake them" if removed else ""
    print(f"{results}: {count} files, {unsound} unsound, {len(removed)} removed{again}")
    return int(len(problems) > len(removed))


def _config(path: Path | None) -> Config:
    """The configuration in a file. Raises UserError, naming the file, if it is none."""
    if path is None:
        return load_config({})
    _must_exist(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML in UTF-8 ({' '.join(str(error).split())})") from None
    if not isinstance(values or {}, dict):
        raise UserError(f"{path}: holds {type(values).__name__}, not keys and values")
    return load_config(values or {})


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")


def _variants(config: Config) -> Iterator[str]:
    """Each stage, and the variants that `--variant` takes with their kind."""
    for stage in OFFERED:
        yield f"{stage} (from {STAGES[stage].group}):"
        for name, options in getattr(config, STAGES[stage].group).items():
            kind = getattr(options, "type", "")
            missing = isinstance(options, Kind) and any(True for _ in missing_here(options))
            notes = [kind] * bool(kind) + ["weights missing"] * missing + ["default"] * (name == STAGES[stage].default)
            yield f"  {name}" + (f"  ({', '.join(notes)})" if notes else "")


def write_scenes(folder: Path, count: int, first_seed: int | None = None, overwrite: bool = False) -> None:
    """Draw scenes into a folder, with their true regions, and print the configuration that evaluates on them.

    Raises:
        UserError: the number of scenes is not positive, there already is a set of scenes, or it cannot be written.
    """
    # The other commands need neither.
    from regionflow.images.labelled import scene, write
    from regionflow.images.scenes import FIRST_TEST_SEED

    if count < 1:
        raise UserError(f"--count: {count} scenes are none")
    if (folder / "truth.json").exists() and not overwrite:
        raise UserError(f"{folder / 'truth.json'} is there already; name another folder, or --overwrite")
    first = FIRST_TEST_SEED if first_seed is None else first_seed
    seeds = track(range(first, first + count), description="scenes", disable=not sys.stderr.isatty())
    write(folder, (scene(seed) for seed in seeds))
    print(f"images: {{dir: {folder / 'images'}}}\ntruth: {{type: coco, file: {folder / 'truth.json'}}}")


def export_masks(masks: Path, out: Path, form: Literal["png", "json"], overwrite: bool = False) -> None:
    """Write mask files as amg.py does, and masks.csv: how many masks each image has and how much of it they cover.

    Raises:
        UserError: there is no mask file, or one is damaged, or an output is there already; the message names it.
    """
    # The other stages need neither.
    from regionflow.base.files import write_table
    from regionflow.exports.amg import export_amg
    from regionflow.formats.nesting import coverage

    _must_exist(masks)
    root, files = (masks.parent, [masks]) if masks.is_file() else (masks, sorted(masks.rglob("*.json")))
    if not files:
        raise UserError(f"{masks} holds no mask file (.json); give a file or a folder such as results/masks/sam_vit_h")
    suffix = "" if form == "png" else ".json"
    targets = {path: out / f"{path.relative_to(root).with_suffix('')}{suffix}" for path in files}
    _refuse_existing([*targets.values(), out / "masks.csv"], overwrite)
    rows = []
    for path, target in track(targets.items(), description="amg", disable=not sys.stderr.isatty()):
        file = read_regions(path)
        export_amg(file.annotations, target, form)
        print(target)
        height, width = file.size
        image = path.relative_to(root).with_suffix("").as_posix()
        rows.append([image, len(file.annotations), round(coverage(masks_of(file), height, width), 6)])
    write_table(out / "masks.csv", ("image", "masks", "coverage"), rows)
    print(out / "masks.csv")


def run(
    stage: str,
    images: dict[str, ImageEntry],
    out: Path,
    config: Config,
    variant: str | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Run a stage over images by id as cold jobs of the workflow run: the files are out/stage/variant/image.

    Raises:
        UserError: a variant, its weights or the device are not there, or an output is already; nothing was written.
    """
    declared = STAGES[stage]
    variant = variant or declared.default
    if variant not in getattr(config, declared.group):
        raise undeclared(config, declared.group, variant)
    names = {GROUPS[declared.group]: variant}
    chosen = getattr(config, declared.group)[variant]
    if isinstance(chosen, Kind) and (problems := [*missing_here(chosen), *chosen.problems()]):
        raise UserError("\n".join(f"{declared.group}.{variant}.{problem}" for problem in problems))
    uses_card = declared.uses_card(config, names)
    if uses_card and (reason := why_no_device(config.runtime.device)):
        raise UserError(f"runtime.device is {config.runtime.device}, but {reason}; set it to auto or cpu")
    outputs = {
        image: {name: out / stage / variant / f"{image}{suffix}" for name, suffix in declared.outputs.items()}
        for image in images
    }
    _refuse_existing([path for paths in outputs.values() for path in paths.values()], overwrite)
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


def _refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    existing = [path for path in paths if path.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more files are" if len(existing) > 1 else " is"
        raise UserError(f"{existing[0]}{more} there already; give another --out, or --overwrite to replace")


def _images(paths: Sequence[Path], out: Path, options: ImagesOptions) -> dict[str, ImageEntry]:
    """The images of files and folders by id. Raises UserError for one that is not there, and for two of one id."""
    images: dict[str, ImageEntry] = {}
    for path in paths:
        _must_exist(path)
        if path.is_dir():
            inside = options.model_copy(update={"dir": str(path), "table": None})
            found = find_set(inside, outputs=[out / stage for stage in OFFERED])
            told = [*found.told(), *(f"{file} is left out: {reason}" for file, reason in found.left_out)]
            print("".join(f"{path}: {line}\n" for line in told), end="", file=sys.stderr)
            entries = found.images
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
    installed = Path(__file__).parent / "scripts"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "workflow" / "scripts"


if __name__ == "__main__":
    main()
