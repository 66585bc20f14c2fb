"""What a bare machine lacks: no library of a desktop is needed."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = """
import re, sys
from pathlib import Path
import cv2, numpy as np
cv2.boundingRect(cv2.findNonZero(np.eye(3, dtype=np.uint8)))
import regionflow.cli, regionflow.masks.graph, regionflow.features.daisy_lab, regionflow.report.build
maps = Path("/proc/self/maps").read_text().splitlines()
print("\\n".join({line.split()[-1] for line in maps if ".so" in line}))
"""
DESKTOP = re.compile(r"lib(GL|EGL|X11|xcb|Qt\w+|gtk|SM|ICE)[-.\d]")


def test_opencv_is_the_one_without_windows():
    names = [
        re.split(r"[><=]", d)[0]
        for d in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ]
    assert "opencv-python-headless" in names and "opencv-python" not in names
    # Both write the same folder: with both installed, which one is imported depends on the order of installation.
    with pytest.raises(PackageNotFoundError):
        version("opencv-python")
    libraries = [Path(f).name for f in files("opencv-python-headless") or [] if ".so" in str(f)]
    assert libraries and not [name for name in libraries if DESKTOP.match(name)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_library_of_a_desktop_is_loaded():
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=120)
    paths = [Path(line) for line in loaded.stdout.split()]
    assert any("cv2" in path.name for path in paths)
    # Pillow brings a libxcb of its own for screenshots: what comes with a package is no system's.
    assert not [path for path in paths if DESKTOP.match(path.name) and not path.is_relative_to(sys.prefix)]
