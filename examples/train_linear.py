"""Train one linear layer to tell the class of a region from its features.

    python examples/train_linear.py --results results [--labels classes.tsv]

Classes come from a TSV with the columns region_id and class, or else are the clusters (pseudo-labels). A fifth of the
images is held out, so that a handful of very different photos tells little. As in "Region-Based Representations
Revisited": AdamW, cross-entropy weighted by region area.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import regionflow
from regionflow.base.errors import UserError
from regionflow.dataset import RegionSet

BATCH = 8192


def classes(regions: RegionSet, labels: Path | None) -> np.ndarray:
    """Class of each region [N], -1 for none."""
    if labels is None:
        return regions.cluster
    try:
        with labels.open(newline="", encoding="utf-8") as file:
            named = {row["region_id"]: row["class"] for row in csv.DictReader(file, delimiter="\t")}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise SystemExit(f"{labels}: no table with the columns region_id and class ({error})") from None
    number = {name: i for i, name in enumerate(sorted(set(named.values())))}
    return np.array([number.get(named.get(region, ""), -1) for region in regions.region_id])


def train(features: Tensor, target: Tensor, weight: Tensor, epochs: int) -> nn.Linear:
    """A linear layer from features [N, C] to classes; regions count by their weight."""
    torch.manual_seed(0)
    model = nn.Linear(features.shape[1], int(target.max()) + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        for rows in torch.randperm(len(features)).split(BATCH):
            loss = nn.functional.cross_entropy(model(features[rows]), target[rows], reduction="none")
            optimizer.zero_grad()
            ((loss * weight[rows]).sum() / weight[rows].sum()).backward()
            optimizer.step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", default="results")
    parser.add_argument("--extractor")
    parser.add_argument("--regions")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--epochs", type=int, default=100)
    given = parser.parse_args()
    with regionflow.load(given.results, given.extractor, given.regions) as regions:
        target = torch.from_numpy(classes(regions, given.labels))
        held_out = np.random.default_rng(0).permutation(len(regions.image_ids)) % 5 == 0
        test = torch.from_numpy(held_out[regions.image])
        features, weight = torch.from_numpy(regions.features[:]), torch.from_numpy(regions.area).float()
    learn, check = (target >= 0) & ~test, (target >= 0) & test
    if not (learn.any() and check.any()):
        raise SystemExit(
            f"{int((target >= 0).sum())} labelled regions are too few to train on some images and test on others"
        )
    features = (features - features[learn].mean(dim=0)) / features[learn].std(dim=0).clamp(min=1e-6)
    model = train(features[learn], target[learn], weight[learn], given.epochs)
    with torch.no_grad():
        right = (model(features[check]).argmax(dim=1) == target[check]).float()
    commonest = (target[check] == torch.bincount(target[learn]).argmax()).float()
    area = weight[check] / weight[check].sum()
    print(f"{int(learn.sum())} regions to learn from, {int(check.sum())} of {int(held_out.sum())} other images to test")
    print(f"accuracy by region {right.mean():.3f}, by area {right @ area:.3f}")
    print(f"always the commonest class {commonest.mean():.3f}, by area {commonest @ area:.3f}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:  # results that are not there, or damaged: the text says all
        raise SystemExit(f"{error}") from None
