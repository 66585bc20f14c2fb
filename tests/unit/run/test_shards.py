"""Shards: how many, who is where, and what is stale."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionflow.formats.shards import summarize, write_summary
from regionflow.run.shards import LARGE_SET, divide, number_of_shards, shard_size, stale, told

IMAGES = [f"folder {n % 7}/{n:05d}" for n in range(4000)]


@pytest.mark.parametrize(
    ("wanted", "images", "size"),
    [(None, LARGE_SET, 0), (None, LARGE_SET + 1, 1000), (0, 10**6, 0), (300, 10, 300)],
)
def test_a_large_set_is_divided_without_being_told(wanted: int | None, images: int, size: int) -> None:
    assert shard_size(wanted, images) == size
    assert shard_size(wanted, images, cluster=True) == (size or (1000 if wanted is None else 0))


@given(st.integers(1, 10**7), st.integers(1, 5000))
def test_their_number_is_the_least_power_of_two_that_is_enough(images: int, size: int) -> None:
    number = number_of_shards(images, size)
    assert number & (number - 1) == 0
    assert number * size >= images > (number // 2) * size or number == 1


def test_every_image_is_in_one_shard_in_the_order_of_the_set() -> None:
    shards = divide(dict.fromkeys(IMAGES, "1"), 300)
    assert sorted(image for shard in shards.values() for image in shard.images) == sorted(IMAGES)
    assert all(shard.images == sorted(shard.images, key=IMAGES.index) for shard in shards.values())
    sizes = [len(shard.images) for shard in shards.values()]
    assert len(sizes) == 16
    assert min(sizes) > 200
    assert max(sizes) < 300


def test_a_new_image_changes_its_shard_alone() -> None:
    before = divide(dict.fromkeys(IMAGES, "1"), 300)
    after = divide(dict.fromkeys([*IMAGES, "new"], "1"), 300)
    changed = [name for name in after if after[name].digest != before[name].digest]
    assert len(changed) == 1
    assert "new" in after[changed[0]].images


def test_new_content_of_an_image_changes_its_shard_alone() -> None:
    versions = dict.fromkeys(IMAGES, "1")
    before, after = divide(versions, 300), divide({**versions, IMAGES[5]: "2"}, 300)
    (changed,) = [name for name in after if after[name].digest != before[name].digest]
    assert IMAGES[5] in after[changed].images


def test_what_the_log_says() -> None:
    shards = divide(dict.fromkeys(IMAGES, "1"), 1000).values()
    assert told(shards, 1000, wanted=True) == "4000 images in 4 shard(s) of about 1000"
    assert told(shards, 1000, wanted=False).endswith("(by itself; runtime.shard_images sets another size, 0 none)")


def test_a_file_that_was_removed_changed_or_touched_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = [f"sub/{n}" for n in range(4)]
    for image in images:
        path = Path(f"masks/{image}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    suffixes = dict.fromkeys(images, ".png")
    summary, missing = summarize(["masks/{image}.json"], suffixes, 1.0)
    write_summary(Path("summary.json"), summary)
    asked = dict.fromkeys(["summary.json", "not made yet.json"], lambda: suffixes)
    assert missing == []
    assert stale(asked) == []
    path = Path("masks/sub/2.json")
    times = path.stat()
    path.write_text("{ }")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stale(asked) == ["summary.json"]  # by its size
    path.write_text("{}")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stale(asked) == []
    os.utime(path)
    assert stale(asked) == ["summary.json"]
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.unlink()
    assert stale(asked) == ["summary.json"]
    Path("summary.json").write_text("damaged")
    assert stale(asked) == ["summary.json"]
