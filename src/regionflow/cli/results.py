"""Commands about finished results: search, compare, verify and amg. What one alone needs is imported when it runs."""

import argparse
import sys

from rich.progress import track

from regionflow.base.errors import UserError
from regionflow.cli.paths import must_exist, refuse_existing


def search(chosen: argparse.Namespace) -> None:
    """Write the regions nearest to a query as a table and a sheet of crops, and print the table.

    Raises UserError for a region, image or set that is not there, or a model of another space.
    """
    from regionflow.dataset import load
    from regionflow.search.command import like_region, like_words, write

    refuse_existing([chosen.out / "hits.tsv", chosen.out / "hits.jpg"], chosen.overwrite)
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


def compare_masks(chosen: argparse.Namespace) -> None:
    """Print how far two sets of masks differ, and write a table per comparison.

    Raises UserError if there is nothing to compare.
    """
    from regionflow.evaluate.compare import compare, pairs, write_comparison

    for name, first, second in pairs(chosen.a, chosen.b):
        result = compare(first, second)
        if not result.images:
            raise UserError(f"{first} and {second} have no image in common")
        differing = sum(not image.same for image in result.images)
        print(f"{name or f'{first} and {second}'}: {len(result.images)} images, {differing} ({result.differing:.1%}) "
              f"with another set of masks, mean best IoU {result.mean_best_iou:.4f}")  # fmt: skip
        for side, alone in ((first, result.only_a), (second, result.only_b)):
            if alone:
                print(f"  {len(alone)} image(s) only in {side}: {', '.join(alone[:5])}{' ...' * (len(alone) > 5)}")
        if chosen.out is not None:
            path = chosen.out / f"{name or 'comparison'}.tsv"
            write_comparison(path, result)
            print(f"  {path}")


def verify_results(chosen: argparse.Namespace) -> int:
    """Name every unsound file of a results folder and remove it, unless `--keep`; 1 if something is left to be done.

    Raises UserError if there is no such folder.
    """
    from regionflow.verify import aside, files, remove, verify

    results = chosen.results
    if not results.is_dir():
        raise UserError(f"{results}: no such folder")
    problems = verify(results, chosen.threads)
    for _, problem in problems:
        print(problem)
    removed = [] if chosen.keep else remove(results, problems)
    count, unsound = len(files(results)) + len(removed), sum(problem.unsound for _, problem in problems)
    again = "; run snakemake again, with the same targets, to remake them" if removed else ""
    print(f"{results}: {count} files, {unsound} unsound, {len(removed)} removed{again}")
    if moved := [] if chosen.keep else [path for path, problem in problems if problem.whole]:
        print(f"{len(moved)} of these can be read and were moved to {aside(results)}: somebody may have edited them")
    return int(len(problems) > len(removed))


def export_masks(chosen: argparse.Namespace) -> None:
    """Write mask files as amg.py does, and masks.csv: how many masks each image has and how much of it they cover.

    Raises:
        UserError: there is no mask file, or one is damaged, or an output is there already; the message names it.
    """
    from regionflow.base.files import write_table
    from regionflow.exports.amg import export_amg
    from regionflow.formats.nesting import coverage
    from regionflow.formats.regions import masks_of, read_regions

    masks, out = chosen.masks, chosen.out
    must_exist(masks)
    root, files = (masks.parent, [masks]) if masks.is_file() else (masks, sorted(masks.rglob("*.json")))
    if not files:
        raise UserError(f"{masks} holds no mask file (.json); give a file or a folder such as results/masks/sam_vit_h")
    suffix = "" if chosen.form == "png" else ".json"
    targets = {path: out / f"{path.relative_to(root).with_suffix('')}{suffix}" for path in files}
    refuse_existing([*targets.values(), out / "masks.csv"], chosen.overwrite)
    rows = []
    for path, target in track(targets.items(), description="amg", disable=not sys.stderr.isatty()):
        file = read_regions(path)
        export_amg(file.annotations, target, chosen.form)
        print(target)
        height, width = file.size
        image = path.relative_to(root).with_suffix("").as_posix()
        rows.append([image, len(file.annotations), round(coverage(masks_of(file), height, width), 6)])
    write_table(out / "masks.csv", ("image", "masks", "coverage"), rows)
    print(out / "masks.csv")
