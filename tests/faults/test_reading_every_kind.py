"""Damage in any kind of file in results/ is found: flipped bytes, a cut end, bytes after it, another file of the kind.

So is a sound file that no job wrote there, and what was made from another version of a file that is sound: every job
leaves a line about what it read and wrote (regionflow.formats.origins).
"""

import fcntl
import gzip
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from helpers import every_stage
from helpers.signed import change_hdf5, change_json
from helpers.written import written
from regionflow.base.files import PART
from regionflow.cli import main
from regionflow.formats import origins as origins_module
from regionflow.formats.checksums import checksum_of
from regionflow.formats.origins import Origin, append_origin, compact, cut, read_origins
from regionflow.run.job import Job
from regionflow.verify import CHECKS, files, pattern_of, problem_of, verify

EVALUATED = [("mask", "segmenter"), ("region", "regions")]
ALONE = {name for name in CHECKS if "{" not in name} | {
    "shards/{phase}/set.json",
    *(f"evaluation/{what}s/{{{name}}}.{end}" for what, name in EVALUATED for end in ("json", "tsv")),
    *("colour_maps/{extractor}/{regions}/classes.csv", "named/{labeler}/{regions}/classes.csv"),
    "named/{labeler}/{regions}/label_studio.xml",
}
"""Kinds of which there is one file here, or equal ones: none to be swapped with."""
OPENED: list[Path] = []
"""What stages opened to write, below results/."""
CHECKPOINTS = {"parts/model/checkpoint.pt", "parts/probe/checkpoint.pt"}
"""They have a checksum of their own and no line: a job that is killed leaves none."""
NOT_READ = {
    **{name: {"photos"} for name in ("coco", "metadata")},
    **{name: {"photos", "maps"} for name in ("named_coco", "named_panoptic", "named_table", "label_studio")},
    "named_classes": {"photos", "maps", "regions"},
}
"""Inputs of a job that it does not read: a folder that it names, and maps that are another's."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Job]]:
    folder = tmp_path_factory.mktemp("every_kind")
    with written() as opened:
        jobs = every_stage.run(folder)
    OPENED[:] = sorted(path for path in opened if path.is_relative_to(folder / "results"))
    return folder / "results", jobs


@pytest.fixture
def root(finished: tuple[Path, list[Job]], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    for name in ("results", "logs"):
        shutil.copytree(finished[0].parent / name, tmp_path / name, symlinks=True)
    return tmp_path / "results"


def of_kind(root: Path, kind: str) -> list[Path]:
    return [path for path in files(root) if pattern_of(root, path) == kind]


def flip(at: float, data: bytes) -> bytes:
    place = min(int(at * len(data)), len(data) - 1)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "the first byte flipped": partial(flip, 0),
    "the last byte flipped": partial(flip, 1),
    "cut in half": lambda data: data[: len(data) // 2],
    "the last byte lost": lambda data: data[:-1],
    "a byte too many": lambda data: data + b"\n",
    "empty": lambda data: b"",
} | {f"a byte flipped at {at:.0%}": partial(flip, at) for at in np.random.default_rng(0).uniform(0, 1, 20)}


def test_nothing_is_wrong_with_what_the_stages_wrote(finished: tuple[Path, list[Job]]) -> None:
    root, _ = finished
    assert verify(root) == []
    assert {pattern_of(root, path) for path in files(root)} == CHECKS.keys()
    origins = read_origins(root)
    unknown = [path for path in files(root) if not origins.of(path.relative_to(root).as_posix())]
    assert {path.relative_to(root).as_posix() for path in unknown} == CHECKPOINTS


def test_every_file_is_written_whole_or_not_at_all(finished: tuple[Path, list[Job]]) -> None:
    """Under a name beside its own, which it gets when it is complete; HDF5 files by a library that is not seen here."""
    written_by = {path.name for path in OPENED}
    assert len(OPENED) > 100
    assert {name for name in written_by if not name.endswith((PART, ".levels"))} == set()


@pytest.mark.parametrize("kind", CHECKS)
def test_damage_in_any_kind_of_file_is_found(finished: tuple[Path, list[Job]], tmp_path: Path, kind: str) -> None:
    root, origins = finished[0], read_origins(finished[0])
    path = of_kind(root, kind)[0]
    sound = path.read_bytes()
    try:
        for name, damage in DAMAGE.items():
            path.write_bytes(damage(sound))
            problem = problem_of(root, path, origins)
            assert problem and problem.unsound, name
            assert str(problem).startswith(f"{path}: "), name
    finally:
        path.write_bytes(sound)
    assert problem_of(root, path, origins) is None


@pytest.mark.parametrize("kind", [kind for kind in CHECKS if kind not in ALONE])
def test_two_files_of_a_kind_that_are_swapped_are_found(root: Path, kind: str) -> None:
    origins = read_origins(root)
    one, other = two_different(of_kind(root, kind))
    for path, content in ((one, other.read_bytes()), (other, one.read_bytes())):
        times = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    for path in (one, other):
        problem = problem_of(root, path, origins)
        assert problem and problem.unsound, path


def two_different(paths: list[Path]) -> tuple[Path, Path]:
    """The first, and one whose content is another: those of a fit that is the same are swapped by nobody's harm."""
    first = paths[0].read_bytes()
    return paths[0], next(path for path in paths[1:] if path.read_bytes() != first)


def test_verify_names_one_damaged_file_of_every_kind_and_nothing_else(root: Path) -> None:
    damaged = {of_kind(root, kind)[-1] for kind in CHECKS}
    for path in damaged:
        path.write_bytes(flip(0.6, path.read_bytes()))
    assert set(dict(verify(root, threads=2))) == damaged
    with suppress(SystemExit):
        main(["verify", str(root)])
    assert not any(path.exists() for path in damaged)
    assert verify(root) == []


def test_every_file_that_a_job_reads_is_in_its_line(finished: tuple[Path, list[Job]]) -> None:
    root, jobs = finished
    origins = read_origins(root)
    for job in jobs:
        final = next(iter(job.outputs.values()))
        output = final.with_name(final.name[1:].replace(".test.tmp", "")).relative_to(root).as_posix()
        (origin,) = origins.of(output)
        for name in job.inputs.keys() - NOT_READ.get(job.stage, set()):
            for path in job.input_list(name):
                start, pattern, end = path.as_posix().removeprefix("results/").partition("{image}")
                read = [i for i in origin.inputs if i == start or (pattern and i.startswith(start) and i.endswith(end))]
                assert read or path.parts[0] != "results", (job.stage, name)


def test_another_sound_mask_file_of_the_image_is_found_and_kept_aside(root: Path) -> None:
    """As other options would have made it, or a careful hand; its time is the old one."""
    path = root / "masks/small/train/a/1.json"
    times = path.stat()
    change_json(path, lambda content: content["annotations"].pop())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = path.read_bytes()
    problems = verify(root)
    assert [problem[0] for problem in problems] == [path]
    assert "not what was written there" in str(problems[0][1])
    with suppress(SystemExit):
        main(["verify", str(root)])
    assert not path.exists()
    assert (root.parent / "logs/replaced/masks/small/train/a/1.json").read_bytes() == changed


@pytest.mark.parametrize(
    ("stage", "source", "made_from_it"),
    [
        ("masks", "masks/small/train/a/1.json", {"regions/default/train/a/1.json"}),
        ("superpixels", "superpixels/slic/train/a/1.json", {"regions/default/train/a/1.json"}),
        ("features", "features/vit/train/a/1.h5", {"pooled/vit/default/train/a/1.h5"}),
        ("parts_masks", "parts/masks/train/a/1.json.gz", {"parts/targets/train/a/1.h5", "parts/set.h5"}),
        ("region_table", "region_tables/vit/default.csv", {"region_tables/vit/default.parquet"}),
        ("images", "images.tsv", {"problems.tsv", "region_tables/vit/default.csv", "parts/agreement.csv"}),
        ("clusters", "clusters/vit/default/centroids.h5", {"labels/vit/default/val/b/5.png", "report/index.html"}),
    ],
)
def test_what_was_made_from_another_version_of_a_sound_file_is_found(
    root: Path, stage: str, source: str, made_from_it: set[str]
) -> None:
    """A job has made the file again, and what is made from it was not: an interrupted run, a copy from elsewhere."""
    path = root / source
    change(path)
    append_origin(root, stage, Origin({source: cut(checksum_of(path))}, read_origins(root).of(source)[0].inputs))
    problems = {path.relative_to(root).as_posix(): str(problem) for path, problem in verify(root)}
    assert made_from_it <= problems.keys()
    assert all(f"was made from another version of {source}" in problem for problem in problems.values())
    assert source not in problems


def change(path: Path) -> None:
    """Write the same in other bytes, in a way that the file's own checks allow."""
    if path.suffix == ".h5":
        change_hdf5(path, lambda file: file.attrs.create("note", 1))
    elif path.suffix == ".json":
        change_json(path, lambda content: content["generator"].update(version="another"))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    else:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def test_lines_of_several_hosts_and_cut_ones(tmp_path: Path) -> None:
    root = tmp_path / "results"
    for name, text in (("a", "1"), ("b", "2")):
        append_origin(root, "masks", Origin({f"masks/s/{name}.json": text * 32}, {}))
    (log,) = (tmp_path / "logs/origins").iterdir()
    log.write_bytes(log.read_bytes() + b'{"outputs":{"masks/s/a.js')  # killed while it was writing
    append_origin(root, "masks", Origin({"masks/s/a.json": "3" * 32}, {"images.tsv": "4" * 32}))
    log.with_name("masks-other.jsonl").write_bytes(b'{"outputs":{"masks/s/b.json":"5"},"inputs":{}}\n')
    origins = read_origins(root)
    assert [o.outputs["masks/s/a.json"] for o in origins.of("masks/s/a.json")] == ["3" * 32]
    assert {o.outputs["masks/s/b.json"] for o in origins.of("masks/s/b.json")} == {"2" * 32, "5"}
    assert origins.of("masks/s/c.json") == []


def lines_of(root: Path) -> list[dict]:
    (log,) = (root.parent / "logs/origins").glob("*.jsonl")
    return [json.loads(line) for line in log.read_bytes().splitlines()]


def test_lines_about_what_is_there_no_more_are_dropped(tmp_path: Path) -> None:
    root = tmp_path / "results"
    for name in ("a", "b"):
        (root / "x").mkdir(parents=True, exist_ok=True)
        (root / "x" / name).touch()
    (root / "x/link").symlink_to("nowhere")
    written = [(("a",), "1"), (("a", "b"), "2"), (("gone",), "3"), (("a",), "4"), (("link",), "5"), (("gone",), "6")]
    for names, text in written:
        append_origin(root, "s", Origin({f"x/{name}": text for name in names}, {"images.tsv": text}))
    before = read_origins(root)
    assert compact(root) == 0  # not worth it yet
    assert compact(root, growth=0) > 0
    kept = [line["inputs"]["images.tsv"] for line in lines_of(root)[1:]]
    assert kept == ["2", "4", "5"]
    after = read_origins(root)
    assert all(after.of(f"x/{name}") == before.of(f"x/{name}") for name in ("a", "b", "link"))
    assert after.of("x/gone") == []
    append_origin(root, "s", Origin({"x/a": "7"}, {}))
    assert compact(root, growth=0) == 0  # it has not doubled
    assert [o.outputs["x/a"] for o in read_origins(root).of("x/a")] == ["7"]
    assert [path.name for path in (tmp_path / "logs/origins").iterdir()] == [origin_file(root).name]


def origin_file(root: Path) -> Path:
    (log,) = (root.parent / "logs/origins").glob("*.jsonl")
    return log


def test_a_cut_line_is_dropped_and_a_kill_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "results"
    root.mkdir()
    (root / "a").touch()
    append_origin(root, "s", Origin({"a": "1"}, {}))
    with origin_file(root).open("ab") as file:
        file.write(b'{"outputs":{"a":"2"},"inpu')
    append_origin(root, "s", Origin({"a": "3"}, {}))
    before = origin_file(root).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compact(root, growth=0)
    assert origin_file(root).read_bytes() == before
    compact(root, growth=0)
    assert [line["outputs"] for line in lines_of(root)[1:]] == [{"a": "3"}]


def test_who_waited_for_a_file_that_was_replaced_writes_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, lock, calls = tmp_path / "results", fcntl.flock, [0]
    append_origin(root, "s", Origin({"a": "1"}, {}))

    def late(file: FileIO, kind: int) -> None:
        calls[0] += 1
        if calls[0] == 1:  # it was compacted between being opened and being locked
            new = origin_file(root).with_suffix(".new")
            new.write_bytes(origin_file(root).read_bytes())
            new.replace(origin_file(root))
        lock(file, kind)

    monkeypatch.setattr(origins_module.fcntl, "flock", late)
    append_origin(root, "s", Origin({"b": "2"}, {}))
    assert calls == [2]
    assert [name for line in lines_of(root) for name in line["outputs"]] == ["a", "b"]


def test_no_line_that_is_written_meanwhile_is_lost(tmp_path: Path) -> None:
    """Other runs append while a file is compacted again and again."""
    root, count = tmp_path / "results", 150
    root.mkdir()
    names = [f"{writer}-{number}" for writer in "ab" for number in range(count)]
    for name in names:
        (root / name).touch()
    writers = []
    for writer in "ab":
        pid = os.fork()
        if pid == 0:
            for number in range(count):
                append_origin(root, "s", Origin({f"{writer}-{number}": str(number)}, {}))
            os._exit(0)
        writers.append(pid)
    rounds = 0
    while writers:
        compact(root, growth=-(1 << 40))
        rounds += 1
        writers = [pid for pid in writers if os.waitpid(pid, os.WNOHANG) == (0, 0)]
    origins = read_origins(root)
    assert [name for name in names if not origins.of(name)] == []
    assert rounds > 1
