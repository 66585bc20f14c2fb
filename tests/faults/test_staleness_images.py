"""The version of an image is raised when its content has changed, and then only; planning reads no pixels."""

import os
import shutil

import pytest

from regionflow.base.errors import UserError
from regionflow.formats.images import write_images
from regionflow.images import versions
from regionflow.images.find import ImageEntry, find_images
from regionflow.images.options import ImagesOptions
from regionflow.images.survey import survey
from regionflow.images.versions import forget, image_versions


class Set:
    """A folder of files that stand for images, planned and made as a run does."""

    def __init__(self, folder):
        self.options = ImagesOptions(dir="photos")
        (folder / "photos").mkdir()
        (folder / "results").mkdir()

    def write(self, name, content, time=None):
        path = os.path.join(self.options.dir, f"{name}.png")  # noqa: PTH118
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(content)
        if time is not None:
            os.utime(path, (time, time))

    def plan(self, **options):
        return image_versions(find_images(self.options), versions.Path("results/images.tsv"), **options).images

    def made(self):
        """What the stage `images` writes."""
        images = find_images(self.options)
        write_images(versions.Path("results/images.tsv"), survey(images, self.options.reading))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Set(tmp_path)
    made.write("a", b"one")
    made.write("b", b"two")
    return made


def test_the_first_plan_reads_no_image(photos, monkeypatch):
    monkeypatch.setattr(versions, "sha256_of", lambda path: pytest.fail("an image was read"))
    assert photos.plan() == {"a": "1", "b": "1"}
    assert photos.plan() == {"a": "1", "b": "1"}


@pytest.mark.parametrize("time", [1_000_000_000, None, 4_000_000_000])
def test_other_content_is_seen_whatever_its_time(photos, time):
    first = photos.plan()
    photos.made()
    photos.write("a", b"another", time)
    second = photos.plan()
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]
    assert photos.plan() == second


def test_other_content_of_the_same_size_and_time_is_seen(photos):
    """As unzip, `cp -p` and `rsync -t` may leave it: the time of the last change of anything cannot be set."""
    photos.write("a", b"uno", 1_000_000_000)
    first = photos.plan()
    photos.write("other", b"due", 1_000_000_000)
    one, other = (versions.Path("photos", f"{name}.png") for name in ("a", "other"))
    assert (one.stat().st_size, one.stat().st_mtime_ns) == (other.stat().st_size, other.stat().st_mtime_ns)
    other.replace(one)
    assert photos.plan()["a"] != first["a"]


def test_other_content_is_seen_where_the_first_was_never_hashed(photos):
    first = photos.plan()
    photos.write("a", b"uno")
    assert photos.plan()["a"] != first["a"]


def test_a_touched_image_is_the_same(photos):
    first = photos.plan()
    photos.made()
    for time in (1_000_000_000, 3_000_000_000):
        photos.write("a", b"one", time)
        assert photos.plan() == first
        photos.made()


def test_content_that_comes_back_is_made_anew(photos):
    """Results were made of the content between: the first version would be taken for them."""
    first = photos.plan()
    photos.made()
    photos.write("a", b"another")
    second = photos.plan()
    photos.write("a", b"one")
    assert photos.plan()["a"] not in (first["a"], second["a"])


def test_the_same_bytes_at_another_place_are_the_same(photos):
    first = photos.plan()
    photos.made()
    shutil.copytree("photos", "elsewhere")
    photos.options = ImagesOptions(dir="elsewhere")
    assert photos.plan() == first
    photos.made()
    photos.write("a", b"another")
    assert photos.plan()["a"] != first["a"]
    photos.options = ImagesOptions(dir="photos")  # still the first content
    assert photos.plan() == first


def test_what_the_table_says_of_other_content_is_not_believed(photos):
    """The table was written after the file had changed again: its hash is not that of the content planned for."""
    first = photos.plan()
    photos.write("a", b"another")
    photos.made()
    assert photos.plan()["a"] != first["a"]


def test_a_link_to_nothing_that_finds_its_file_is_made_anew(photos):
    versions.Path("photos/c.png").symlink_to("../store/c")
    first = photos.plan()
    assert photos.plan() == first
    os.mkdir("store")  # noqa: PTH102
    with open("store/c", "wb") as file:  # noqa: PTH123
        file.write(b"three")
    assert photos.plan()["c"] != first["c"]


def test_a_job_that_plans_nothing_changes_no_memory(photos):
    first = photos.plan()
    photos.made()
    photos.write("a", b"another")
    assert photos.plan(update=False) == first
    assert photos.plan()["a"] != first["a"]


def test_images_that_have_left_are_known_until_they_are_pruned(photos):
    photos.plan()
    os.remove("photos/a.png")  # noqa: PTH107
    images = find_images(photos.options)
    assert image_versions(images, versions.Path("results/images.tsv")).gone == ["a"]
    forget(["a"])
    assert image_versions(images, versions.Path("results/images.tsv")).gone == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"images": {"a": {"p": [1]}}}', b"\xff"])
def test_a_damaged_memory_is_none(photos, content):
    photos.plan()
    versions.MEMORY.write_bytes(content)
    assert photos.plan() == {"a": "1", "b": "1"}


def test_a_memory_that_cannot_be_kept_is_told(photos):
    versions.MEMORY.mkdir(parents=True)
    with pytest.raises(UserError, match="a changed image would not be seen"):
        photos.plan()


def test_the_list_depends_on_ids_versions_splits_and_paths(photos):
    known = image_versions(find_images(photos.options), versions.Path("results/images.tsv"))
    images = find_images(photos.options)
    first = known.of_set(images)
    assert known.of_set(dict(reversed(images.items()))) == first
    for other in (ImageEntry(images["a"].path, "train"), ImageEntry(versions.Path("x/a.png"), "")):
        assert known.of_set({**images, "a": other}) != first
    known.images["a"] = "2"
    assert known.of_set(images) != first
