"""Distillation on drawn nested scenes: it resumes, learns, and refuses what does not fit."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from helpers import nested
from regionflow.base.errors import UserError
from regionflow.formats.part_model import StoredModel, write_part_model
from regionflow.formats.part_set import PartSet, write_part_set
from regionflow.formats.parts import EMPTY, PartTargets
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.options import EmbedderOptions, ProbeOptions, StudentOptions, TrainingOptions
from regionflow.parts.students import read_student, write_student
from regionflow.parts.targets import Embedder
from regionflow.train.loop import Row
from regionflow.train.parts.data import split_rows
from regionflow.train.parts.distil import Distillation, Distilled
from regionflow.train.parts.probe import train_probe
from regionflow.weights.checkpoint import CheckpointError

STUDENT = StudentOptions(size=24, levels=3, dim=16, patch_size=2, start_weight=1.0)
SHORT = TrainingOptions(epochs=6, batch_size=8, optimiser="adamw", rate=5e-3)


@pytest.fixture(scope="module")
def scenes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("set") / "set.h5"


@pytest.fixture(scope="module")
def scenes(scenes_file: Path) -> PartSet:
    return nested.write_set(scenes_file, 32, 24, 3, nested.simple_embedding(16))


class Killed(BaseException):
    pass


def kill_at(step: int) -> Callable[[Row], None]:
    def tell(row: Row) -> None:
        if row["step"] == step:
            raise Killed

    return tell


@pytest.mark.parametrize("more", [{}, {"optimiser": "lion", "rate": 3e-4, "ema": 0.9, "targets": "as_published"}])
def test_a_killed_training_resumed_equals_an_uninterrupted_one(scenes: PartSet, tmp_path: Path, more: dict) -> None:
    training = SHORT.model_copy(update=more)
    whole = Distillation(scenes, STUDENT, training).run(tmp_path / "whole.pt")
    with pytest.raises(Killed):
        Distillation(scenes, STUDENT, training).run(tmp_path / "killed.pt", kill_at(9), save_every=0)
    resumed = Distillation(scenes, STUDENT, training).run(tmp_path / "killed.pt")
    for name, tensor in whole.student.state_dict().items():
        assert torch.equal(tensor, resumed.student.state_dict()[name]), name
    assert resumed.metrics == whole.metrics
    assert [row["val_loss"] for row in resumed.record] == [row["val_loss"] for row in whole.record]


TRAIN = """
import sys, torch
from pathlib import Path
from regionflow.formats.part_set import PartSet
from regionflow.parts.options import StudentOptions, TrainingOptions
from regionflow.train.parts.distil import Distillation
torch.set_num_threads(1)
student, training = (kind.model_validate_json(text) for kind, text in
                     ((StudentOptions, sys.argv[3]), (TrainingOptions, sys.argv[4])))

def tell(row):
    print(row["step"], flush=True)
    if row["step"] == 9:
        sys.stdin.read()  # waits to be killed

Distillation(PartSet(Path(sys.argv[1])), student, training).run(Path(sys.argv[2]), tell, save_every=0)
"""


def test_a_training_that_is_killed_by_the_system_goes_on_with_the_same_numbers(
    scenes: PartSet, scenes_file: Path, tmp_path: Path
) -> None:
    """SIGKILL of a process, with a record of what it had done before."""
    torch.set_num_threads(1)
    whole = Distillation(scenes, STUDENT, SHORT).run(tmp_path / "whole.pt")
    arguments = [scenes_file, tmp_path / "killed.pt", STUDENT.model_dump_json(), SHORT.model_dump_json()]
    command = [sys.executable, "-c", TRAIN, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "9\n" in iter(process.stdout.readline, "")
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert torch.load(tmp_path / "killed.pt", weights_only=True)["step"] == 8
    resumed = Distillation(scenes, STUDENT, SHORT).run(tmp_path / "killed.pt")
    for name, tensor in whole.student.state_dict().items():
        assert torch.equal(tensor, resumed.student.state_dict()[name]), name
    assert resumed.metrics == whole.metrics
    assert [row["train_loss"] for row in resumed.record] == [row["train_loss"] for row in whole.record]


def test_a_student_is_read_as_written_and_can_be_fine_tuned(scenes: PartSet, tmp_path: Path) -> None:
    done: Distilled = Distillation(scenes, STUDENT, SHORT).run(tmp_path / "checkpoint.pt")
    path = tmp_path / "model.safetensors"
    write_student(path, done.student, {"stage": "parts_model"})
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode  # not its owner's alone
    images = torch.randn(2, 3, 24, 24)
    with torch.inference_mode():
        assert torch.equal(read_student(path)(images).levels, done.student(images).levels)
    tuned = Distillation(scenes, STUDENT, SHORT.model_copy(update={"start": str(path)}))
    assert tuned.evaluate()["val_loss"] == pytest.approx(done.metrics["val_loss"])
    other = STUDENT.model_copy(update={"attend_self": True})
    with pytest.raises(CheckpointError, match=r"set them in parts.student as there \(attend_self: false\)"):
        Distillation(scenes, other, SHORT.model_copy(update={"start": str(path)}))
    slow = STUDENT.model_copy(update={"start_weight": 0.25})  # what the weights started at once does not matter
    assert Distillation(scenes, slow, tuned.training).evaluate()["val_loss"] == pytest.approx(done.metrics["val_loss"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: weights.update(start=weights["start"] * float("nan")),
            "not finite numbers in 1 tensors, start",
        ),
        (lambda weights: weights.update(weights=torch.full((4,), float("inf"))), "not finite .* weights first"),
        (lambda weights: weights.pop("start"), r"not hold a whole student: 1 tensors missing \(start\)"),
        (lambda weights: weights.update(start=torch.zeros(3, 8)), "1 tensors of another shape"),
    ],
)
def test_a_student_to_start_from_that_is_not_whole_is_named(
    scenes: PartSet, tmp_path: Path, change: Callable[[dict], None], message: str
) -> None:
    path = tmp_path / "model.safetensors"
    weights = dict(Agglomerator(STUDENT).state_dict())
    change(weights)
    write_part_model(path, StoredModel(weights, STUDENT.canonical(), {}))
    for epochs in (0, 6):
        with pytest.raises(CheckpointError, match=f"{path} .*{message}"):
            Distillation(scenes, STUDENT, SHORT.model_copy(update={"start": str(path), "epochs": epochs}))


def test_a_file_to_start_from_is_never_to_be_deleted(scenes: PartSet, tmp_path: Path) -> None:
    """It is somebody's, not a result that is made again."""
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(3)}, foreign)
    (tmp_path / "text.safetensors").write_text("no tensors")
    for path in (foreign, tmp_path / "text.safetensors", tmp_path / "gone.safetensors"):
        with pytest.raises(CheckpointError, match=f"{path} is not a student") as told:
            Distillation(scenes, STUDENT, SHORT.model_copy(update={"start": str(path)}))
        assert "delete" not in str(told.value)


def test_another_file_at_the_same_path_is_another_training(scenes: PartSet, tmp_path: Path) -> None:
    """The checkpoint of a training that started from the file that lay there before is not taken up."""
    tuning = SHORT.model_copy(update={"start": str(tmp_path / "start.safetensors"), "epochs": 1})
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        write_student(tmp_path / "start.safetensors", Agglomerator(STUDENT), {})
        losses.append(Distillation(scenes, STUDENT, tuning).run(tmp_path / "checkpoint.pt").metrics["val_loss"])
    anew = Distillation(scenes, STUDENT, tuning).run(tmp_path / "anew.pt")
    assert losses[0] != losses[1] == anew.metrics["val_loss"]


def test_a_training_that_diverges_is_told_and_leaves_nothing(scenes: PartSet, tmp_path: Path) -> None:
    wild = SHORT.model_copy(update={"rate": 10.0, "targets": "as_published"})
    training = Distillation(scenes, STUDENT, wild)
    training.student.weights.data.fill_(1e30)
    with pytest.raises(UserError, match=r"diverged: its loss is (nan|inf) by step 1; lower parts.training.rate"):
        training.run(tmp_path / "checkpoint.pt", save_every=0)
    assert not (tmp_path / "checkpoint.pt").exists()


def planted(path: Path, scenes: PartSet, change: Callable[[int, np.ndarray, PartTargets], PartTargets]) -> PartSet:
    """The scenes again, the last eight of a split test, each as `change` makes it."""
    names, content = [], []
    for row, name in enumerate(scenes.image_ids):
        index, inside = scenes.image(row)
        known = np.unique(scenes.index[row][scenes.index[row] != EMPTY])
        targets = PartTargets(np.array(scenes.embeddings[known]), index, inside)
        pixels = np.array(scenes.pixels[row])
        content.append((pixels, change(row, pixels, targets)))
        names.append((name, "test" if row >= 24 else "train"))
    write_part_set(path, names, content, sum(len(targets.embeddings) for _, targets in content), {})
    return PartSet(path)


def test_no_number_depends_on_an_image_of_another_split(scenes: PartSet, tmp_path: Path) -> None:
    """Student, targets' mean and spread, baseline, record, and the probe: as without the test images' content."""

    def spoil(row: int, pixels: np.ndarray, targets: PartTargets) -> PartTargets:
        if row >= 24:
            pixels[:] = 255 - pixels
            return replace(targets, embeddings=np.full_like(targets.embeddings, 6e4))
        return targets

    made = []
    for name, change in (("as_is", lambda row, pixels, targets: targets), ("spoilt", spoil)):
        data = planted(tmp_path / f"{name}.h5", scenes, change)
        done = Distillation(data, STUDENT, SHORT).run(tmp_path / f"{name}.pt")
        rows = split_rows(data.splits, SHORT.val_fraction, SHORT.seed)
        assert rows.test.tolist() == list(range(24, 32))
        probe, record = train_probe(
            done.student, data, rows, ProbeOptions(epochs=2, batch_size=8), tmp_path / f"{name}.probe.pt"
        )
        made.append((done.student.state_dict() | probe.probe.state_dict(), done.metrics, done.record, record))
    (weights, metrics, *records), (others, other_metrics, *other_records) = made
    assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())
    assert metrics == other_metrics
    for one, other in zip(records, other_records, strict=True):
        assert [row | {"seconds": 0} for row in one] == [row | {"seconds": 0} for row in other]


def test_what_has_no_mask_has_no_loss_instead_of_none(scenes: PartSet, tmp_path: Path) -> None:
    val = split_rows(["train"] * 24, SHORT.val_fraction, SHORT.seed).val

    def hide(row: int, pixels: np.ndarray, targets: PartTargets) -> PartTargets:
        """No held-out image has a subpart; no training image has any mask at the first patch."""
        index = targets.index.copy()
        index[:, 0] = EMPTY if row in val else index[:, 0]
        index[0] = index[0] if row in val else EMPTY
        return replace(targets, index=index)

    training = Distillation(planted(tmp_path / "set.h5", scenes, hide), STUDENT, SHORT)
    values = training.evaluate()
    assert np.isnan(values["val_loss_0"]) and np.isnan(values["val_loss"]) and np.isnan(values["agreement_0"])
    assert values["val_loss_2"] > 0
    # The first patch's baseline is the mean of all, 0 when standardised, and no giant.
    assert training.baseline()["val_loss_2"] < 3
    unweighted = SHORT.model_copy(update={"level_weights": [0.0, 0.3, 0.7]})
    assert np.isfinite(Distillation(training.data, STUDENT, unweighted).evaluate()["val_loss"])


def test_a_teacher_without_a_mask_is_told(scenes: PartSet, tmp_path: Path) -> None:
    def empty(row: int, pixels: np.ndarray, targets: PartTargets) -> PartTargets:
        return PartTargets(targets.embeddings[:0], np.full_like(targets.index, EMPTY), targets.members[:0])

    with pytest.raises(UserError, match="the teacher has no mask in any image that is trained on"):
        Distillation(planted(tmp_path / "set.h5", scenes, empty), STUDENT, SHORT)
    with pytest.raises(ValidationError, match="all levels weigh 0"):
        TrainingOptions(level_weights=[0, 0, 0])


def test_a_frozen_checkpoint_is_kept_as_it_is_and_has_its_figures(scenes: PartSet, tmp_path: Path) -> None:
    trained = Distillation(scenes, STUDENT, SHORT).run(tmp_path / "checkpoint.pt")
    write_student(tmp_path / "kept.safetensors", trained.student, {})
    frozen = SHORT.model_copy(update={"epochs": 0, "start": str(tmp_path / "kept.safetensors")})
    made = Distillation(scenes, STUDENT, frozen).run(tmp_path / "frozen.pt")
    for name, tensor in trained.student.state_dict().items():
        assert torch.equal(tensor, made.student.state_dict()[name]), name
    assert not made.student.training
    assert made.record == []
    assert made.metrics["val_loss"] == pytest.approx(trained.metrics["val_loss"])
    assert made.metrics["val_loss_before"] == made.metrics["val_loss"]
    with pytest.raises(ValidationError, match="epochs 0 keeps the checkpoint `start` as it is"):
        TrainingOptions(epochs=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 32}, "parts.student.size 32 is not the side of the set's images, 24"),
        ({"patch_size": 1}, "6 x 6 columns, the teacher 3 x 3 patches"),
        ({"levels": 2}, "the teacher has 3 levels"),
        ({"dim": 32}, "parts.student.dim: must be 16"),
        ({"encoder_dim": 8}, "parts.student.encoder_dim: must be 16"),
    ],
)
def test_a_student_that_does_not_fit_the_teacher_is_refused(scenes: PartSet, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Distillation(scenes, STUDENT.model_copy(update=change), SHORT)


def test_an_encoder_lets_the_width_of_the_levels_be_free(scenes: PartSet, tmp_path: Path) -> None:
    student = StudentOptions(size=24, levels=3, dim=8, patch_size=2, encoder_dim=16)
    done = Distillation(scenes, student, SHORT.model_copy(update={"epochs": 1})).run(tmp_path / "checkpoint.pt")
    columns = done.student(torch.zeros(1, 3, 24, 24))
    assert (columns.levels.shape[-1], columns.outputs.shape[-1]) == (8, 16)


def test_training_images_are_the_split_train_or_all() -> None:
    rows = split_rows(["train"] * 10 + ["val"] * 3, 0.2, seed=0)
    assert (len(rows.train), len(rows.val), rows.test.tolist()) == (8, 2, [10, 11, 12])
    everything = split_rows([""] * 5, 0.2, seed=0)
    assert sorted([*everything.train, *everything.val]) == list(range(5))
    with pytest.raises(UserError, match="the set has 1 training images that can be read"):
        split_rows(["train"], 0.2, seed=0)


def test_the_baseline_is_the_mean_target_of_every_place(scenes: PartSet) -> None:
    distillation = Distillation(scenes, STUDENT, SHORT.model_copy(update={"targets": "as_published"}))
    rows = distillation.rows
    train, val = scenes.sample(rows.train).targets, scenes.sample(rows.val).targets
    errors = ((val - train.mean(0)) ** 2).mean((0, 1, 3))
    assert distillation.baseline()["val_loss"] == pytest.approx(errors @ np.array([0.1, 0.2, 0.7]), rel=1e-4)


@pytest.mark.slow
def test_nested_scenes_are_learned(tmp_path: Path) -> None:
    """The teacher is the truth of the scenes, the embeddings are those of a timm model."""
    embedder = Embedder(EmbedderOptions(model="test_convnext.r160_in1k", random_seed=0))

    def embed(image: np.ndarray, parts: nested.PartMasks) -> np.ndarray:
        return embedder.embed(image, parts.masks).astype(np.float16)

    scenes = nested.write_set(tmp_path / "set.h5", 900, 48, 6, embed)
    student = StudentOptions(size=48, levels=3, dim=64, patch_size=2, start_weight=1.0)
    training = TrainingOptions(epochs=26, batch_size=32, optimiser="adamw", rate=6e-3)
    metrics = Distillation(scenes, student, training).run(tmp_path / "checkpoint.pt").metrics
    assert metrics["val_loss"] < metrics["baseline_val_loss"] / 2
    for before, after in zip(metrics["agreement_before"], metrics["agreement"], strict=True):
        assert after > before + 0.05
