"""The centres are fitted to the split train however it is written, and the run says to what they were."""

from pathlib import Path

import pytest

from regionflow.base.errors import UserError
from regionflow.images.find import ImageEntry
from regionflow.labels.splits import fit_parts, told_fit


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


def test_a_set_without_train_is_told_so():
    told = told_fit(rows(tset="ab", val="c"))
    assert told == (
        "cluster centres are fitted to 3 of 3 images: no split is called train (the set has tset 2, val 1); "
        "clusters.fit_splits chooses"
    )
    assert told_fit(rows(**{"": "abc"})) == "cluster centres are fitted to 3 of 3 images; the set has no splits"
