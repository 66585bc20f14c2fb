"""A full disk: the error names the file and how far it came, and nothing half-written stays."""

import subprocess
import sys
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


HDF5 = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from regionflow.formats.hdf5 import write_hdf5

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
with write_hdf5(Path(sys.argv[1]), {}) as file:
    file.create_dataset("x", data=np.random.default_rng(0).random((int(sys.argv[2]), 100)))
"""


@pytest.mark.parametrize("rows", [10_000, 260])  # fails when the data are written, or when the file is closed
def test_no_room_for_hdf5_is_told_with_path_and_bytes(tmp_path, rows):
    command = [sys.executable, "-c", HDF5, str(tmp_path / "a.h5"), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"regionflow.base.errors.UserError: {tmp_path / 'a.h5'}: no room on the disk (or quota) after "
    )
    assert int(last.split("after ")[1].split()[0]) > 100_000
    assert list(tmp_path.iterdir()) == []
