"""The training set file: what is mapped is what was written."""

from pathlib import Path

import numpy as np
import pytest

from helpers import nested
from regionflow.base.errors import UserError
from regionflow.formats import part_set
from regionflow.formats.part_set import PartSet
from regionflow.formats.parts import EMPTY, PartTargets
from regionflow.parts.targets import members


def content(count: int) -> list[tuple[np.ndarray, PartTargets]]:
    embed, made = nested.simple_embedding(5), []
    for seed in range(count):
        image, labels = nested.draw(seed, 24)
        parts = nested.true_parts(labels, 3)
        index = parts.index.copy()
        index[seed, 0] = EMPTY
        made.append((image, PartTargets(embed(image, parts), index, members(parts))))
    return made


def write(path: Path, made: list[tuple[np.ndarray, PartTargets]]) -> None:
    names = [(f"train/{i}", "train") for i in range(len(made))]
    rows = sum(len(targets.embeddings) for _, targets in made)
    part_set.write_part_set(path, names, made, rows, {})


def test_samples_are_the_images_and_their_targets(tmp_path: Path) -> None:
    made = content(4)
    write(tmp_path / "set.h5", made)
    data = PartSet(tmp_path / "set.h5")
    assert isinstance(data.pixels, np.memmap)
    sample = data.sample(np.array([1, 3]))
    for i, row in enumerate((1, 3)):
        image, targets = made[row]
        np.testing.assert_array_equal(sample.pixels[i], image)
        np.testing.assert_array_equal(sample.targets[i], targets.dense.astype(np.float32))
        np.testing.assert_array_equal(sample.valid[i], targets.index != EMPTY)
        index, inside = data.image(row)
        known = index != EMPTY
        np.testing.assert_array_equal(known, targets.index != EMPTY)
        np.testing.assert_array_equal(inside[index[known]], targets.members[targets.index[known]])


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    made = content(3)
    write(tmp_path / "a.h5", made)
    write(tmp_path / "b.h5", made)
    write(tmp_path / "c.h5", [made[1], made[0], made[2]])
    prints = [PartSet(tmp_path / f"{name}.h5").fingerprint for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_a_damaged_set_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with pytest.raises(UserError, match=str(path)):
        PartSet(path)
    write(path, content(2))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=str(path)):
        PartSet(path)
