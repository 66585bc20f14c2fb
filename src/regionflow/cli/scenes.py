"""Command scenes: drawn scenes with ground truth."""

import argparse
import sys

from rich.progress import track

from regionflow.base.errors import UserError


def write_scenes(chosen: argparse.Namespace) -> None:
    """Draw scenes into a folder, with their true regions, and print the configuration that evaluates on them.

    Raises:
        UserError: the number of scenes is not positive, there already is a set of scenes, or it cannot be written.
    """
    # The other commands need neither.
    from regionflow.images.labelled import scene, write
    from regionflow.images.scenes import FIRST_TEST_SEED

    folder, count = chosen.folder, chosen.count
    if count < 1:
        raise UserError(f"--count: {count} scenes are none")
    if (folder / "truth.json").exists() and not chosen.overwrite:
        raise UserError(f"{folder / 'truth.json'} is there already; name another folder, or --overwrite")
    first = FIRST_TEST_SEED if chosen.first_seed is None else chosen.first_seed
    seeds = track(range(first, first + count), description="scenes", disable=not sys.stderr.isatty())
    write(folder, (scene(seed) for seed in seeds))
    print(f"images: {{dir: {folder / 'images'}}}\ntruth: {{type: coco, file: {folder / 'truth.json'}}}")
