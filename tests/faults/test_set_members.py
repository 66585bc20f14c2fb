"""What is in the set of images and what is not: own outputs, odd names, colliding ids. Nothing is missing unsaid."""

import os

import numpy as np
import pytest
from PIL import Image

from helpers.damaged_images import photo
from regionflow.formats.images import read_images, write_images
from regionflow.formats.labels import write_label_map
from regionflow.formats.problems import problems_summary, write_problems
from regionflow.images.find import ImageListError, find_images, find_set
from regionflow.images.options import ImagesOptions
from regionflow.images.survey import survey

MOVE = "move it out of the set"


def files(folder, *names):
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def outputs_of_a_run(folder):
    """The tables by which a results folder is known, and pictures in it."""
    folder.mkdir(parents=True)
    write_images(folder / "images.tsv", [])
    write_problems(folder / "problems.tsv", [])
    files(folder, "superpixels/slic/a.png", "report/x/overlays/a.jpg")


@pytest.mark.parametrize("where", [".", "..", "sub/.."])
def test_our_own_outputs_are_never_images(tmp_path, monkeypatch, where):
    work = tmp_path / "work"
    files(work, "a.png", "results/superpixels/slic/a.png", "logs/x.png", ".snakemake/y.png", "sub/b.png")
    monkeypatch.chdir(work)
    found = find_set(ImagesOptions(dir=where))
    prefix = "work/" if where == ".." else ""
    assert list(found.images) == [f"{prefix}a", f"{prefix}sub/b"]
    assert sorted(path.rpartition("/")[2] for path in found.own_outputs) == ["logs", "results"]
    assert any("results" in line for line in found.told())


def test_outputs_of_another_run_are_left_out_or_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files(tmp_path / "photos", "a.png")
    outputs_of_a_run(tmp_path / "photos" / "old" / "out")
    found = find_set(ImagesOptions(dir="photos"))
    assert list(found.images) == ["a"]
    assert found.own_outputs == ["photos/old/out"]
    for inside in ("photos/old/out", "photos/old/out/report/x"):
        with pytest.raises(ImageListError, match=r"lies in .*/photos/old/out, which holds outputs of regionflow"):
            find_set(ImagesOptions(dir=inside))


def test_a_link_does_not_bring_our_outputs_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files(tmp_path, "photos/a.png", "results/overlays/a.jpg")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "results")
    assert list(find_images(ImagesOptions(dir="photos", follow_links=True))) == ["a"]


def test_a_link_to_a_part_of_any_results_brings_nothing_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files(tmp_path, "photos/a.png", "elsewhere/b.png", "results/overlays/a.jpg")
    outputs_of_a_run(tmp_path / "other" / "out")
    links = {
        "part": "other/out/report",
        "own": "results/overlays",
        "map.png": "other/out/superpixels/slic/a.png",
        "own.jpg": "results/overlays/a.jpg",
        "photo.png": "elsewhere/b.png",
        "more": "elsewhere",
    }
    for name, target in links.items():
        (tmp_path / "photos" / name).symlink_to(tmp_path / target)
    found = find_set(ImagesOptions(dir="photos", follow_links=True))
    assert list(found.images) == ["a", "more/b", "photo"]
    assert sorted(found.own_outputs) == ["photos/map.png", "photos/own", "photos/own.jpg", "photos/part"]
    assert "photos/map.png" in found.told()[0]


def test_results_of_a_run_that_has_not_come_to_its_tables_are_left_out(tmp_path):
    files(
        tmp_path, "a.png", "unfinished/results/superpixels/slic/a.png", "unfinished/.snakemake/regionflow_images.json"
    )
    files(tmp_path, "other_workflow/results/crop.png", "other_workflow/.snakemake/log/x.log", "listed/a.png")
    (tmp_path / "listed/images.tsv").write_text("id\tpath\tsplit\tweather\n")
    write_images(tmp_path / "early.tsv", [])
    files(tmp_path, "early/map.png")
    (tmp_path / "early.tsv").rename(tmp_path / "early/images.tsv")
    found = find_set(ImagesOptions(dir=str(tmp_path)))
    assert list(found.images) == ["a", "listed/a", "other_workflow/results/crop"]
    assert found.own_outputs == [str(tmp_path / "early"), str(tmp_path / "unfinished/results")]


def test_a_label_map_that_was_copied_is_no_photo(tmp_path):
    write_label_map(tmp_path / "a.png", np.ones((4, 5), int), "a")
    (row,) = survey(find_images(ImagesOptions(dir=str(tmp_path))), {})
    assert (row.status, row.reason) == ("unreadable", "a label map that regionflow has made, not a photo; " + MOVE)


@pytest.mark.parametrize(
    "name", [b"m\xfcller.png", b"<x>.png", b"{y}.png", b"a\tb.png", b"sub<1>/a.png", b"\xff/a.png"]
)
def test_a_name_that_cannot_be_an_id_is_a_problem_and_stops_nothing(tmp_path, name):
    files(tmp_path, b"fine.png", name)
    found = find_set(ImagesOptions(dir=str(tmp_path)))
    assert list(found.images) == ["fine"]
    ((path, reason),) = found.left_out
    assert "rename it" in reason
    write_problems(tmp_path / "problems.tsv", [], found.left_out)
    told = problems_summary(tmp_path / "problems.tsv")
    assert path in told
    assert "1 file(s) cannot be in the set" in told


def test_colliding_ids_name_the_remedy(tmp_path):
    files(tmp_path, "x.jpg", "x.png")
    with pytest.raises(ImageListError, match=r"x\.jpg.*x\.png.*rename one, narrow images\.suffixes"):
        find_set(ImagesOptions(dir=str(tmp_path)))
    assert list(find_images(ImagesOptions(dir=str(tmp_path), suffixes=[".png"]))) == ["x"]


def test_files_left_out_for_their_suffix_are_counted(tmp_path):
    files(tmp_path, "a.png", "b.gif", "c.GIF", "d.cr2", "noname", "sub/e.gif", ".hidden.gif")
    (line,) = find_set(ImagesOptions(dir=str(tmp_path))).told()
    assert line == "5 file(s) left out for their suffix (images.suffixes): .gif 3, without suffix 1, .cr2 1"


def test_phone_photos_are_images(tmp_path):
    files(tmp_path, "a.HEIC", "b.avif", "c.jfif", "d.JPG", "e.heif")
    assert list(find_images(ImagesOptions(dir=str(tmp_path)))) == ["a", "b", "c", "d", "e"]


def test_a_folder_that_cannot_be_listed_is_a_problem(tmp_path):
    files(tmp_path, "a.png", "closed/b.png")
    (tmp_path / "closed").chmod(0)
    try:
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("this user may read everything")
        assert [reason for _, reason in find_set(ImagesOptions(dir=str(tmp_path))).left_out] == [
            "the folder cannot be listed: Permission denied"
        ]
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_whatever_lies_there_is_one_unreadable_image_and_no_more(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "fine.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "annexed.png").symlink_to("nowhere/object.png")
    (tmp_path / "round.png").symlink_to("round.png")
    options = ImagesOptions(dir=str(tmp_path))
    rows = survey(find_images(options), options.reading)
    assert {row.id: row.status for row in rows} == {
        "annexed": "unreadable", "fine": "ok", "pipe": "unreadable", "round": "unreadable",
    }  # fmt: skip
    write_images(tmp_path / "images.tsv", rows)
    assert read_images(tmp_path / "images.tsv") == rows
    write_problems(tmp_path / "problems.tsv", rows)
    told = problems_summary(tmp_path / "problems.tsv")
    assert "3 image(s) could not be read" in told
    for reason in ("a FIFO", "nowhere/object.png", "cannot be opened"):
        assert reason in told


def test_a_note_is_in_the_table(tmp_path):
    Image.fromarray((photo()[..., 0].astype(np.uint16)) * 16).save(tmp_path / "x.png")
    options = ImagesOptions(dir=str(tmp_path))
    (row,) = survey(find_images(options), options.reading)
    assert "images.scale_16bit" in row.note
    assert row.status == "ok"
    assert row.bytes == (tmp_path / "x.png").stat().st_size


@pytest.mark.parametrize("content", [b"image\tpath\n1\t2\n", b"\xff\xfe", b"image\tpath\treason\n1\n"])
def test_a_damaged_table_of_problems_does_not_end_the_end_of_a_run(tmp_path, content):
    (tmp_path / "problems.tsv").write_bytes(content)
    told = problems_summary(tmp_path / "problems.tsv")
    assert "damaged" in told or "could not be read" in told
