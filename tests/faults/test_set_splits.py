"""The centres are fitted to the split train however it is written, and the run says to what they were."""

from pathlib import Path

import pytest

from regionflow.base.errors import UserError
from regionflow.config.load import ConfigError
from regionflow.images.find import ImageEntry, find_images
from regionflow.images.options import ImagesOptions
from regionflow.labels.splits import fit_parts, told_fit
from regionflow.run.preflight import prepare


def rows(**splits):
    return {i: ImageEntry(Path(i), split) for split, ids in splits.items() for i in ids}


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN", "training", "Training"])
def test_train_is_train(train):
    table = rows(**{train: "ab", "Test": "c"})
    assert fit_parts(table) == [{"a", "b"}]
    assert "fitted to 2 of 3 images" in told_fit(table)
    assert f"{train} 2" in told_fit(table)


def test_blanks_and_case_of_the_option_do_not_matter():
    assert fit_parts(rows(Val="ab", train="c"), [" vAL "]) == [{"a", "b"}]
    with pytest.raises(UserError, match=r"clusters\.fit_splits: no image has the split vall"):
        fit_parts(rows(Val="ab"), ["vall"])


def test_letters_of_two_forms_are_one_split(tmp_path):
    """As macOS and Linux write them, and a no-break space."""
    composed, decomposed = "ve\u0301rite\u0301 1", "v\u00e9rit\u00e9\u00a01"
    for number, split in enumerate((composed, decomposed)):
        (tmp_path / f"{number}.png").touch()
        with (tmp_path / "table.tsv").open("a", encoding="utf-8") as file:
            file.write(("" if number else "id\tpath\tsplit\n") + f"{number}\t{number}.png\t{split}\n")
    images = find_images(ImagesOptions(table=str(tmp_path / "table.tsv")))
    assert len({entry.split for entry in images.values()}) == 1
    assert fit_parts(rows(**{composed: "a", decomposed: "b"}), [decomposed]) == [{"a", "b"}]


@pytest.mark.parametrize("names", [["Train", "Test"], ["TRAIN", "test"], ["training", "val"], ["train", "Train"]])
def test_folders_are_splits_as_the_column_of_a_table_is(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}{ord(name[0])}.png").touch()
    images = find_images(ImagesOptions(dir=str(tmp_path), split_from="folder"))
    of_train = {image for image in images if image.casefold().startswith("train")}
    assert fit_parts(images) == [of_train]
    assert {images[image].split for image in of_train} == {"train"}


def test_a_split_that_no_image_has_is_told_before_the_first_job(tmp_path):
    (tmp_path / "a.png").touch()
    values = {"images": {"dir": str(tmp_path)}, "clusters": {"fit_splits": ["tset"]}}
    with pytest.raises(ConfigError, match=r"clusters\.fit_splits: no image has the split tset"):
        prepare(values)
    model = tmp_path / "centroids.h5"
    model.touch()
    prepare({**values, "clusters": {"fit_splits": ["tset"], "model": str(model)}})  # nothing is fitted


def test_a_set_without_train_is_told_so():
    told = told_fit(rows(tset="ab", val="c"))
    assert told == (
        "cluster centres are fitted to 3 of 3 images: no split is called train (the set has tset 2, val 1); "
        "clusters.fit_splits chooses"
    )
    assert told_fit(rows(**{"": "abc"})) == "cluster centres are fitted to 3 of 3 images; the set has no splits"
