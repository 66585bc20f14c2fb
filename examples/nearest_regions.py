"""The regions of a set that are most like one region of it.

    python examples/nearest_regions.py dog 3 --results results -k 10

Cosine similarity of region features, read a block at a time: memory does not grow with the set.
"""

import argparse

import numpy as np

import regionflow
from regionflow.base.errors import UserError
from regionflow.dataset import RegionSet


def nearest(regions: RegionSet, row: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosine similarities of the k regions nearest to that row, best first, itself left out."""
    query = regions.features[row] / np.linalg.norm(regions.features[row])
    similarity = np.empty(len(regions), dtype=np.float32)
    for rows, features in regions.blocks():
        similarity[rows] = features @ query / np.maximum(np.linalg.norm(features, axis=1), 1e-12)
    similarity[row] = -np.inf
    best = np.argsort(-similarity, kind="stable")[: min(k, len(regions) - 1)]
    return best, similarity[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", help="image id")
    parser.add_argument("region", type=int, help="number of the region in its image")
    parser.add_argument("--results", default="results")
    parser.add_argument("--extractor")
    parser.add_argument("--regions")
    parser.add_argument("-k", type=int, default=10)
    given = parser.parse_args()
    with regionflow.load(given.results, given.extractor, given.regions) as regions:
        if given.image not in regions.image_ids:
            some = ", ".join(regions.image_ids[:5])
            raise SystemExit(f"{given.image!r} is no image of {given.results}; there are {some} ...")
        rows = regions.rows(given.image)
        matching = rows[regions.region[rows] == given.region]
        if not len(matching):
            numbers = regions.region[rows]
            have = f"its regions are {numbers.min()} to {numbers.max()}" if len(rows) else "it has none"
            raise SystemExit(f"{given.image} has no region {given.region}; {have}")
        print("similarity  cluster  box (x, y, width, height)  region")
        for row, similarity in zip(*nearest(regions, int(matching[0]), given.k), strict=True):
            box = ", ".join(map(str, regions.bbox[row]))
            print(f"{similarity:10.4f}  {regions.cluster[row]:7d}  {box:26}  {regions.region_id[row]}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:  # results that are not there, or damaged: the text says all
        raise SystemExit(f"{error}") from None
