"""What can be typed after `regionflow`: commands, arguments and their help; nothing of the work is imported."""

import argparse
from pathlib import Path

import shtab

from regionflow import __version__
from regionflow.run.stages import STAGES

DESCRIPTION = (
    "The other door to the stages: `regionflow masks photo.jpg --out out` runs what rule `masks` runs, no Snakemake."
)
# Stages of a single image.
OFFERED = [name for name, stage in STAGES.items() if stage.outputs]


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    whole = argparse.ArgumentParser(prog="regionflow", description=DESCRIPTION)
    whole.add_argument("--version", action="version", version=f"regionflow {__version__}")
    commands = whole.add_subparsers(dest="command", required=True)
    for stage in OFFERED:
        _stage_arguments(commands.add_parser(stage, help=f"{stage} of images"), stage)
    _scenes_arguments(commands.add_parser("scenes", help="drawn scenes with ground truth, to evaluate on"))
    _amg_arguments(commands.add_parser("amg", help="mask files in the forms of segment-anything's amg.py"))
    _search_arguments(commands.add_parser("search", help="regions of a set like one region, or like words"))
    _compare_arguments(commands.add_parser("compare", help="how far two sets of masks of the same images differ"))
    _verify_arguments(
        commands.add_parser("verify", help="name and remove the files of results/ that are not what they should be")
    )
    completion = commands.add_parser("completion", help="the script by which a shell completes `regionflow ...`")
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    _config_argument(commands.add_parser("list", help="the variants that the stages can make"))
    return whole


def _stage_arguments(command: argparse.ArgumentParser, stage: str) -> None:
    command.add_argument("images", type=Path, nargs="+", help="images, or folders that are searched throughout")
    _output_arguments(command, f"folder; the files are OUT/{stage}/VARIANT/IMAGE")
    command.add_argument("--variant", help=f"name from `regionflow list` (default: {STAGES[stage].default})")
    _config_argument(command)


def _scenes_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="gets images/ and truth.json (COCO instances: wholes and parts)")
    command.add_argument("--count", type=int, default=100, help="number of scenes of 256 px (default: 100)")
    command.add_argument(
        "--first-seed", type=int, help="seed of the first scene (default: the scenes on which nothing was trained)"
    )
    command.add_argument("--overwrite", action="store_true", help="write over a set of scenes that is there")


def _amg_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("masks", type=Path, help="a mask file, or a folder of them such as results/masks/sam_vit_h")
    _output_arguments(command, "folder for the output and masks.csv")
    command.add_argument(
        "--form",
        choices=["png", "json"],
        default="png",
        help="png: a folder per image with a PNG per mask, metadata.csv and parents.csv; json: a list per image",
    )


def _search_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("results", type=Path, nargs="?", default=Path("results"), help="folder (default: results)")
    query = command.add_mutually_exclusive_group(required=True)
    query.add_argument("--region", nargs=2, metavar=("IMAGE", "NUMBER"), help="id of an image and number of its region")
    query.add_argument("--words", help='such as "a red roof"; synonyms after a bar: "sofa|couch"')
    command.add_argument("--extractor", help="whose features are compared, where the results hold several")
    command.add_argument("--regions", help="kind of regions, where the results hold several")
    command.add_argument("-k", type=int, default=20, help="most regions that are listed (default: 20)")
    command.add_argument("--out", type=Path, required=True, help="folder for hits.tsv and hits.jpg, a sheet of crops")
    command.add_argument("--overwrite", action="store_true", help="replace files that are there (default: refuse)")
    words = command.add_argument_group("with --words", "the model in whose space the features lie")
    words.add_argument("--model", default="ViT-B-16-quickgelu", help="open_clip's name (default: ViT-B-16-quickgelu)")
    words.add_argument("--pretrained", default="openai", help="open_clip's tag of the weights (default: openai)")
    words.add_argument("--checkpoint", help="local weight file instead")


def _compare_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("a", type=Path, help="folder of mask or region files (results/masks/sam_vit_b), or results")
    command.add_argument("b", type=Path, help="the other one")
    command.add_argument("--out", type=Path, help="folder for a table per comparison, a row per image")


def _verify_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("results", type=Path, nargs="?", default=Path("results"), help="folder (default: results)")
    command.add_argument("--keep", action="store_true", help="remove nothing")
    command.add_argument("--threads", type=int, default=4, help="files read at once (default: 4)")


def _output_arguments(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument("--out", type=Path, required=True, help=out)
    command.add_argument("--overwrite", action="store_true", help="replace files that are there (default: refuse)")


def _config_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, help="configuration file (default: the built-in configuration)")
