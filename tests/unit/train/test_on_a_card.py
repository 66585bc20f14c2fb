"""Part-whole training on a pretended card: nothing mixed, few waits, and what comes of it on the CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import nested
from helpers.pretend_card import pretend, put_on_card
from regionflow.formats.part_set import PartSet, write_part_set
from regionflow.formats.parts import PartTargets
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.options import ProbeOptions, StudentOptions, TrainingOptions
from regionflow.parts.pictures import unroll
from regionflow.parts.pixels import normalised
from regionflow.parts.students import read_student, write_student
from regionflow.parts.targets import members
from regionflow.train.parts.data import Rows
from regionflow.train.parts.distil import Distillation
from regionflow.train.parts.probe import evaluate_probe, train_probe

STUDENT = StudentOptions(size=24, levels=3, dim=16, patch_size=2, start_weight=1.0)
IMAGES = 16


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> PartSet:
    return nested.write_set(tmp_path_factory.mktemp("set") / "set.h5", IMAGES, 24, 3, nested.simple_embedding(16))


@pytest.mark.parametrize("more", [{}, {"optimiser": "lion", "rate": 3e-4, "ema": 0.9}], ids=["adamw", "lion, average"])
def test_a_student_is_trained(scenes: PartSet, tmp_path: Path, more: dict) -> None:
    training = TrainingOptions(epochs=2, batch_size=8, **{"optimiser": "adamw", "rate": 5e-3, **more})
    expected = Distillation(scenes, STUDENT, training).run(tmp_path / "cpu.pt")
    with pretend() as watch:
        made = Distillation(scenes, STUDENT, training, "cuda").run(tmp_path / "cuda.pt")
        assert not any(where.startswith("parts/agglomerator.py") for where in watch.waits), watch.waits
        write_student(tmp_path / "student.h5", made.student, {})
    # Where a norm follows, the gradient of a bias is rounding, and an optimiser makes steps of it.
    assert made.metrics["val_loss"] == pytest.approx(expected.metrics["val_loss"], rel=5e-3)
    assert made.metrics["val_loss_before"] == pytest.approx(expected.metrics["val_loss_before"], rel=1e-5)
    again = read_student(tmp_path / "student.h5")
    assert all(tensor.device.type == "cpu" and type(tensor) is torch.Tensor for tensor in again.state_dict().values())


def test_a_probe_is_trained_and_tested_and_columns_are_unrolled(tmp_path: Path) -> None:
    path, content, names = tmp_path / "set.h5", [], []
    embed = nested.simple_embedding(16)
    for seed in range(12):
        image, labels = nested.draw(seed, 24)
        image = image // 2 + 120 * (seed % 2)
        parts = nested.true_parts(labels, 3)
        content.append((image, PartTargets(embed(image, parts), parts.index, members(parts))))
        names.append((f"train/{('dark', 'bright')[seed % 2]}/{seed}", "train"))
    write_part_set(path, names, content, sum(len(targets.embeddings) for _, targets in content), {})
    data, rows = PartSet(path), Rows(np.arange(6), np.arange(6, 8), np.arange(8, 12))
    options = ProbeOptions(epochs=8, batch_size=4, rate=1e-2)
    torch.manual_seed(0)
    student = Agglomerator(STUDENT).eval()
    pixels = content[0][0][None]
    probe, _ = train_probe(student, data, rows, options, tmp_path / "cpu.pt")
    expected = evaluate_probe(student, probe, data, rows.test)
    found = unroll(student, normalised(pixels, "cpu"))
    with pretend():
        torch.manual_seed(0)
        on_card = put_on_card(Agglomerator(STUDENT)).eval()
        probe, _ = train_probe(on_card, data, rows, options, tmp_path / "cuda.pt")
        made = evaluate_probe(on_card, probe, data, rows.test)
        also = unroll(on_card, normalised(pixels, "cuda"))
    assert made.confusion.tolist() == expected.confusion.tolist()
    np.testing.assert_allclose(also.embeddings, found.embeddings, rtol=1e-4, atol=1e-4)
