"""Files of other images and other versions: intact, but not what they are taken for; each is refused by name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.signed import change_hdf5, change_json
from helpers.small_results import make
from regionflow.base.errors import BadFile
from regionflow.cli import main
from regionflow.formats.features import read_features
from regionflow.formats.hdf5 import open_hdf5
from regionflow.formats.labelled import read_labelled
from regionflow.formats.labels import read_label_map, read_labels
from regionflow.formats.pooled import read_pooled, write_pooled_set
from regionflow.formats.regions import read_regions
from regionflow.formats.semantics import read_semantics
from regionflow.verify import CHECKS, problem_of, verify

READERS = {
    "features/daisy/{}.h5": read_features,
    "masks/graph/{}.json": read_regions,
    "superpixels/slic/{}.json": read_regions,
    "superpixels/slic/{}.png": read_label_map,
    "regions/default/{}.json": read_regions,
    "pooled/daisy/default/{}.h5": read_pooled,
    "labels/daisy/default/{}.json": read_labels,
    "labels/daisy/default/{}.png": read_label_map,
    "semantics/few/default/{}.json": read_semantics,
    "semantics/few/default/{}.png": read_label_map,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize("pattern", READERS)
def test_the_file_of_another_image_is_refused_by_name(root: Path, pattern: str) -> None:
    mine, other = root / pattern.format("a"), root / pattern.format("sub/b")
    times = mine.stat()
    shutil.copy(other, mine)
    os.utime(mine, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(BadFile, match="it is of image 'sub/b', not of 'a'") as error:
        READERS[pattern](mine, "a")
    assert str(mine) in str(error.value)
    assert error.value.unsound
    assert mine in dict(verify(root))


def test_pooled_features_of_other_regions_are_refused(root: Path) -> None:
    change_json(root / "regions/default/a.json", lambda content: content["annotations"].pop())
    regions = read_regions(root / "regions/default/a.json", "a")
    with pytest.raises(BadFile, match=r"a\.h5: it was pooled over another version"):
        read_pooled(root / "pooled/daisy/default/a.h5", "a", regions.sha256)
    with pytest.raises(BadFile, match=r"a\.json: it labels another version"):
        read_labelled(root / "regions/default/a.json", root / "labels/daisy/default/a.json", "a")
    stale = ("pooled/daisy/default/a.h5", "labels/daisy/default/a.json", "semantics/few/default/a.json")
    assert set(dict(verify(root))) == {root / path for path in stale}


def test_a_set_of_other_rows_than_its_images_is_refused(root: Path) -> None:
    def change(file: h5py.File) -> None:
        file["features"][0, 0] += 1

    change_hdf5(root / "pooled/daisy/default.h5", change)
    assert "rows of image 'a'" in str(problem_of(root, root / "pooled/daisy/default.h5"))


@pytest.mark.parametrize("missing", [True, False])
def test_a_source_that_cannot_be_read_stops_the_set_and_is_named(root: Path, missing: bool) -> None:
    source = root / "pooled/daisy/default/a.h5"
    files = {"a": source, "sub/b": root / "pooled/daisy/default/sub/b.h5"}
    if missing:
        source.unlink()
    else:
        shutil.copy(files["sub/b"], source)
    with pytest.raises(BadFile, match=str(source)):
        write_pooled_set(root / "new.h5", files, {})
    assert not (root / "new.h5").exists()


def test_nan_is_read_only_where_the_status_says_so(root: Path) -> None:
    path = root / "pooled/daisy/default/a.h5"

    def change(file: h5py.File) -> None:
        file["features"][1, 2] = np.nan

    change_hdf5(path, change)
    with pytest.raises(BadFile, match=r"a\.h5: .*features of row 1 are not finite, but its status is 'pooled'"):
        read_pooled(path, "a")
    change_hdf5(path, lambda file: file["status"].__setitem__(1, b"nan"))
    assert np.isnan(read_pooled(path, "a").features[1, 2])


def test_a_label_map_of_another_size_is_refused(root: Path) -> None:
    with pytest.raises(BadFile, match="it has 28 x 42 pixels, its image 30 x 42"):
        read_label_map(root / "labels/daisy/default/a.png", "a", (30, 42))


@pytest.mark.parametrize("pattern", READERS)
def test_a_file_without_checksum_is_refused_with_what_to_do(root: Path, pattern: str) -> None:
    """As older versions wrote them, or as another program saves them."""
    path = root / pattern.format("a")
    if path.suffix == ".json":
        path.write_text(path.read_text().replace('{"sha256":"', '{"other":"', 1))
    elif path.suffix == ".h5":
        data = path.read_bytes()
        path.write_bytes(bytes(512) + data[512:])
    else:
        from PIL import Image

        pixels = np.asarray(Image.open(path))
        Image.fromarray(pixels).save(path)
    with pytest.raises(BadFile, match=r"it has no checksum: .*delete it and run again"):
        READERS[pattern](path, "a")


def test_a_file_that_is_open_for_writing_is_called_locked_and_stays(root: Path) -> None:
    path = root / "features/daisy/a.h5"
    code = f"import h5py, sys; f = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(BadFile, match=r"a\.h5: the file is locked: .*close it there and run again") as error:
            read_features(path, "a")
        assert "damaged" not in str(error.value)
        assert not error.value.unsound
        with pytest.raises(SystemExit) as end:
            main(["verify", str(root)])
        assert end.value.code == 1
        assert path.exists()
        other.communicate("")
    assert read_features(path, "a").image_id == "a"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_called_damaged(root: Path) -> None:
    path = root / "features/daisy/a.h5"
    path.chmod(0)
    with pytest.raises(BadFile, match="Permission denied") as error:
        read_features(path, "a")
    assert not error.value.unsound


def test_the_limit_of_open_files_is_not_called_damage(root: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from regionflow.formats.regions import read_regions; from regionflow.formats.features import read_features\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\n"
        "held = []\n"
        "try:\n    while True: held.append(open('/dev/null'))\n"
        "except OSError: pass\n"
        f"for read, name in ((read_features, 'features/daisy/a.h5'), (read_regions, 'masks/graph/a.json')):\n"
        f"    try: read(Path({str(root)!r}) / name)\n"
        "    except Exception as error: print(type(error).__name__, error.unsound, error)\n"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("BadFile False ") and "Too many open files" in line for line in lines)


def test_the_command_line_names_and_removes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "regions/default/a.json"
    path.write_text(path.read_text().replace('"area":', '"area":1', 1))
    for arguments, removed, code in ((["--keep"], 0, 1), ([], 1, 0), ([], 0, 0)):
        with pytest.raises(SystemExit) as end:
            main(["verify", str(root), *arguments])
        assert end.value.code == code
        assert f", {removed} removed" in capsys.readouterr().out
        assert path.exists() == ("--keep" in arguments)
    with pytest.raises(SystemExit, match="no such folder"):
        main(["verify", str(root / "nowhere")])


def test_verify_knows_every_file_that_a_rule_writes() -> None:
    rules = (Path(__file__).parents[2] / "rules").glob("*.smk")
    files = r'"results/([^"]+(?:\.\w+|\{suffix\}))"'
    outputs = {name.removesuffix("{suffix}") for rule in rules for name in re.findall(files, rule.read_text())}
    checkpoints = {"parts/model/checkpoint.pt", "parts/probe/checkpoint.pt"}  # of jobs that were killed
    assert outputs | checkpoints == set(CHECKS)


def test_intact_files_pass(root: Path) -> None:
    assert list(verify(root)) == []
    with open_hdf5(root / "features/daisy/a.h5", "a file") as file:
        assert file["features"].dims[0].label == "channel"
