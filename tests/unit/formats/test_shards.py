"""Summaries of shards: what is there, what is missing, which file is the newest."""

import os
from pathlib import Path

import pytest

from regionflow.base.errors import BadFile
from regionflow.formats.shards import newest, paths_of, read_summary, state, summarize, write_summary


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["x/a.h5", "x/b.h5", "y/a.h5"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
        os.utime(path, ns=(10**18 + number, 10**18 + number))
    return tmp_path


def test_what_is_there_and_what_is_missing(folder: Path) -> None:
    made, missing = state("x/{image}.h5", dict.fromkeys("abc", ".png"))
    assert (made.files, made.newest, made.modified) == (2, "x/b.h5", 10**18 + 1)
    assert missing == ["x/c.h5"]


def test_photos_keep_their_suffixes() -> None:
    images = {"x/a": ".jpg", "b": ".png"}
    assert list(paths_of("photos/{image}{suffix}", images)) == ["photos/x/a.jpg", "photos/b.png"]
    assert list(paths_of("all.json", images)) == ["all.json"]


def test_a_summary_comes_back_as_it_was(folder: Path) -> None:
    summary, missing = summarize(["x/{image}.h5", "y/a.h5"], dict.fromkeys("ab", ".png"), 1.25)
    write_summary(folder / "summary.json", summary)
    assert read_summary(folder / "summary.json") == summary
    assert missing == []


def test_the_newest_of_several_shards(folder: Path) -> None:
    shards = [summarize(["x/{image}.h5"], {image: ".png"}, 1.0)[0] for image in ("b", "a")]
    assert newest(shards) == {"x/{image}.h5": "x/b.h5"}


@pytest.mark.parametrize("content", ["", "[]", '{"images": 1}', '{"images": 1, "seconds": 2, "made": {"x": {}}}'])
def test_damage_is_named(folder: Path, content: str) -> None:
    (folder / "summary.json").write_text(content)
    with pytest.raises(BadFile, match=r"summary\.json: not a summary of a shard of this project, or damaged"):
        read_summary(folder / "summary.json")
    with pytest.raises(BadFile, match="no such file"):
        read_summary(folder / "nowhere.json")
