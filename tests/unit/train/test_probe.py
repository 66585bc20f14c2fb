"""The linear probe: it learns from frozen columns, is tested per class, and leaves the student as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import nested
from regionflow.base.errors import UserError
from regionflow.formats import part_set
from regionflow.formats.part_set import PartSet
from regionflow.formats.parts import PartTargets
from regionflow.images.find import ImageEntry
from regionflow.parts.agglomerator import Agglomerator, Probe
from regionflow.parts.classes import class_of, has_classes
from regionflow.parts.options import ProbeOptions, StudentOptions
from regionflow.parts.targets import members
from regionflow.train.parts.data import Rows
from regionflow.train.parts.probe import Classifier, evaluate_probe, read_probe, top_levels, train_probe, write_probe

STUDENT = StudentOptions(size=24, levels=3, dim=16, patch_size=2)
OPTIONS = ProbeOptions(epochs=30, batch_size=8, rate=1e-2)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> PartSet:
    """Two classes that one can tell apart: bright and dark scenes."""
    path, content, names = tmp_path_factory.mktemp("set") / "set.h5", [], []
    embed = nested.simple_embedding(16)
    for seed in range(24):
        image, labels = nested.draw(seed, 24)
        image = image // 2 + 120 * (seed % 2)
        parts = nested.true_parts(labels, 3)
        content.append((image, PartTargets(embed(image, parts), parts.index, members(parts))))
        names.append((f"{'train' if seed < 16 else 'val'}/{('dark', 'bright')[seed % 2]}/{seed}", "train"))
    rows = sum(len(targets.embeddings) for _, targets in content)
    part_set.write_part_set(path, names, content, rows, {})
    return PartSet(path)


ROWS = Rows(np.arange(12), np.arange(12, 16), np.arange(16, 24))


def student() -> Agglomerator:
    torch.manual_seed(0)
    return Agglomerator(STUDENT).eval()


def test_it_tells_two_classes_apart_and_leaves_the_student_alone(scenes: PartSet, tmp_path: Path) -> None:
    network = student()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    classifier, record = train_probe(network, scenes, ROWS, OPTIONS, tmp_path / "checkpoint.pt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert classifier.classes == ("bright", "dark")
    assert record[-1]["train_loss"] < record[0]["train_loss"]
    tested = evaluate_probe(network, classifier, scenes, ROWS.test)
    assert tested.accuracy >= 0.75
    assert tested.confusion.sum(1).tolist() == [4, 4]
    assert np.trace(tested.confusion) == round(tested.accuracy * 8)
    assert not (tmp_path / "checkpoint.levels").exists()


def test_a_killed_probe_resumed_equals_an_uninterrupted_one(scenes: PartSet, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def tell(row: dict[str, float]) -> None:
        if row["step"] == 20:
            raise Killed

    whole, record = train_probe(student(), scenes, ROWS, OPTIONS, tmp_path / "whole.pt")
    with pytest.raises(Killed):
        train_probe(student(), scenes, ROWS, OPTIONS, tmp_path / "killed.pt", tell=tell)
    resumed, again = train_probe(student(), scenes, ROWS, OPTIONS, tmp_path / "killed.pt")
    for name, tensor in whole.probe.state_dict().items():
        assert torch.equal(tensor, resumed.probe.state_dict()[name]), name
    assert [row["train_loss"] for row in again] == [row["train_loss"] for row in record]


def test_a_probe_is_read_as_written(scenes: PartSet, tmp_path: Path) -> None:
    short = OPTIONS.model_copy(update={"epochs": 2})
    classifier, _ = train_probe(student(), scenes, ROWS, short, tmp_path / "checkpoint.pt")
    write_probe(tmp_path / "probe.safetensors", classifier, {"stage": "parts_probe"})
    again = read_probe(tmp_path / "probe.safetensors")
    top = torch.from_numpy(np.array(top_levels(student(), scenes, ROWS.val, tmp_path / "levels")))
    assert again.classes == classifier.classes
    assert torch.equal(again.probe(top), classifier.probe(top))


def test_an_image_of_an_unknown_class_counts_nowhere_and_is_counted(scenes: PartSet) -> None:
    probe = Probe(STUDENT.grid**2, STUDENT.dim, 2).eval()
    known = evaluate_probe(student(), Classifier(probe, ("bright", "dark")), scenes, ROWS.test)
    unknown = evaluate_probe(student(), Classifier(probe, ("bright", "night")), scenes, ROWS.test)
    assert (known.of_unknown_class, unknown.of_unknown_class) == (0, 4)
    assert unknown.confusion.tolist() == [known.confusion[0].tolist(), [0, 0]]
    nothing = evaluate_probe(student(), Classifier(probe, ("day", "night")), scenes, ROWS.test)
    assert np.isnan(nothing.accuracy)


def test_a_probe_is_trained_anew_when_other_images_are_held_out(scenes: PartSet, tmp_path: Path) -> None:
    """A frozen student stays the same then: what was held out must not have been trained on by an earlier run."""
    short, other = OPTIONS.model_copy(update={"epochs": 2}), Rows(np.arange(4, 16), np.arange(4), ROWS.test)
    anew, _ = train_probe(student(), scenes, other, short, tmp_path / "anew.pt")
    train_probe(student(), scenes, ROWS, short, tmp_path / "checkpoint.pt")
    again, _ = train_probe(student(), scenes, other, short, tmp_path / "checkpoint.pt")
    for name, tensor in anew.probe.state_dict().items():
        assert torch.equal(tensor, again.probe.state_dict()[name]), name


def test_images_of_one_class_or_of_none_are_refused(scenes: PartSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"are all of one class \(dark\); add images of other classes"):
        train_probe(student(), scenes, Rows(np.arange(0, 12, 2), ROWS.val, ROWS.test), OPTIONS, tmp_path / "c.pt")
    with pytest.raises(UserError, match="photo lies in no folder"):
        class_of("photo")
    assert class_of("train/n01440764/n01440764_10026") == "n01440764"


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["train/a/1", "train/b/2", "val/a/3"], True),
        (["a/1", "b/2"], True),
        (["a/1", "a/2"], False),
        (["1", "a/2"], False),
        (["train/a/1", "val/b/2"], False),  # one class to learn
        (["train/1", "train/2", "val/3"], False),  # folders of splits are no classes
        ([], False),
    ],
)
def test_images_have_classes_if_all_lie_in_folders_and_those_trained_on_in_several(
    images: list[str], expected: bool
) -> None:
    splits = {image: image.split("/")[0] if image.startswith(("train/", "val/")) else "" for image in images}
    assert has_classes({image: ImageEntry(Path(image), split) for image, split in splits.items()}) == expected
