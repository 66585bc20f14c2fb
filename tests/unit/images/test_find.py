"""Which images a folder, a table or nothing stands for, and which names are refused before any job starts."""

import pytest

from regionflow.images.find import ImageListError, find_images, find_set
from regionflow.images.options import ImagesOptions


def folder(tmp_path, *names):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return ImagesOptions(dir=str(tmp_path))


def test_ids_are_paths_without_suffix_in_order(tmp_path):
    options = folder(tmp_path, "b.JPG", "sub/a.png", "a.v2.tif", "notes.txt", ".hidden.png", ".git/x.png")
    assert list(find_images(options)) == ["a.v2", "b", "sub/a"]


@pytest.mark.parametrize("names", [("a.jpg", "a.png"), ("A.jpg", "a.jpg"), ("caf\u00e9.jpg", "cafe\u0301.jpg")])
def test_colliding_ids_are_refused_with_both_files(tmp_path, names):
    with pytest.raises(ImageListError) as error:
        find_images(folder(tmp_path, *names))
    assert all(name in str(error.value) for name in names)


@pytest.mark.parametrize(
    "name", ["new\nline.png", "br{ace.png", "con.png", "dot..png", "ab" * 110 + ".png", "f" + "0" * 20 + ".png"]
)
def test_names_that_cannot_be_used_are_left_out_by_name(tmp_path, name):
    found = find_set(folder(tmp_path, name, "fine.png"))
    assert list(found.images) == ["fine"]
    assert len(found.left_out) == 1
    assert found.left_out[0].path.endswith(name.replace("\n", "\\n"))


@pytest.mark.parametrize(
    "name", ["with space.png", "it's.png", "-dash.png", "st*r.png", "ümläut.png", '"q".png', "0" * 19 + ".png"]
)
def test_odd_names_that_work_are_kept(tmp_path, name):
    assert list(find_images(folder(tmp_path, name))) == [name.removesuffix(".png")]


def test_a_link_that_loops_is_walked_once(tmp_path):
    options = folder(tmp_path / "images", "a.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
    assert list(find_images(options)) == ["a"]
    assert list(find_images(options.model_copy(update={"follow_links": True}))) == ["a"]


def test_a_table_gives_ids_paths_and_splits(tmp_path):
    folder(tmp_path, "one.png", "two.png")
    table = tmp_path / "images.tsv"
    table.write_text("id\tpath\tsplit\nz\tone.png\ttrain\na/b\ttwo.png\t\n")
    images = find_images(ImagesOptions(table=str(table)))
    assert [(i, e.path.name, e.split) for i, e in images.items()] == [("a/b", "two.png", ""), ("z", "one.png", "train")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("image\tfile\nx\tone.png\n", "columns id, path"),
        ("id\tpath\nx\tmissing.png\n", "line 2.*missing.png is not a file"),
        ("id\tpath\n\tone.png\n", "line 2: id and path"),
        ("id\tpath\n../up\tone.png\n", "'..'"),
        ("id\tpath\n/abs\tone.png\n", "relative path"),
        ("id\tpath\nx\tone.png\nx\tone.png\n", "same id"),
        ("id\tpath\n", "no images"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path, content, reason):
    folder(tmp_path, "one.png")
    table = tmp_path / "images.tsv"
    table.write_text(content)
    with pytest.raises(ImageListError, match=reason):
        find_images(ImagesOptions(table=str(table)))


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(ImageListError, match="not a folder"):
        find_images(ImagesOptions(dir=str(tmp_path / "nothing")))
    with pytest.raises(ImageListError, match="no images in"):
        find_images(ImagesOptions(dir=str(tmp_path)))


def test_splits_are_the_first_folder_where_asked_for(tmp_path):
    for name in ("train/a.png", "train/deep/b.png", "test/c.png", "d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_images(ImagesOptions(dir=str(tmp_path), split_from="folder"))
    assert {image: entry.split for image, entry in found.items()} == {
        "d": "", "test/c": "test", "train/a": "train", "train/deep/b": "train",
    }  # fmt: skip
    assert {entry.split for entry in find_images(ImagesOptions(dir=str(tmp_path))).values()} == {""}


def test_without_a_source_at_least_eight_sample_photos():
    images = find_images(ImagesOptions())
    assert len(images) >= 8
    assert all(entry.path.is_file() for entry in images.values())
