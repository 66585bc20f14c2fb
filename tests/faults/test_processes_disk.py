"""A full disk: the error names the file and how far it came, and nothing half-written stays."""

from pathlib import Path

import numpy as np
import pytest

from regionflow.base.errors import UserError
from regionflow.base.files import write_json, write_table
from regionflow.exports.colour_maps import write_colour_map

FULL = Path("/dev/full")
WRITERS = {
    "a.json": lambda path: write_json(path, list(range(100000))),
    "a.csv": lambda path: write_table(path, ["n"], ([i] for i in range(100000))),
    "a.png": lambda path: write_colour_map(path, np.random.default_rng(0).integers(0, 4, (900, 900)), 4),
}


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, name):
    (tmp_path / f"{name}.part").symlink_to(FULL)  # where the file is written until it is whole
    with pytest.raises(UserError, match=rf"{name}: no room on the disk \(or quota\) after \d+ bytes"):
        WRITERS[name](tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    WRITERS[name](tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
