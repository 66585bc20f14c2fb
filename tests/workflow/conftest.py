"""One finished run, copied for every test that changes something afterwards."""

import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.scenes import ODD, photo, save_photos
from helpers.workflow import Workspace

NAMES = ["one.png", f"{ODD}.jpg", "wide.png"]
BROKEN = "broken.jpg"
CONFIG = {
    "images": {"dir": "photos"},
    "clusters": {"k": 4},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run over three photos and a truncated JPEG, with its output text."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"), CONFIG)
    save_photos(workspace.path("photos"), NAMES)
    Image.fromarray(np.tile(photo(9), (4, 4, 1))).save(workspace.path("photos") / BROKEN)
    whole = (workspace.path("photos") / BROKEN).read_bytes()
    (workspace.path("photos") / BROKEN).write_bytes(whole[: len(whole) // 2])
    return workspace, workspace.snakemake()


@pytest.fixture
def workspace(finished, tmp_path):
    """A copy of the finished run, times and Snakemake's records included."""
    original, _ = finished
    shutil.copytree(original.folder, tmp_path / "copy")
    return Workspace(tmp_path / "copy", original.config)
