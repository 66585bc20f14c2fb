"""The linear probe: a classifier of images over the frozen columns, and its test.

The student is in eval mode throughout. (The original leaves it in train mode, where its batch norms go on following the
images of the probe.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timm.optim import Lion
from torch import Tensor
from torch.nn.functional import cross_entropy

from regionflow.base.errors import BadFile, UserError
from regionflow.features.timm_load import tensors_sha256
from regionflow.formats.part_model import StoredModel, read_part_model, write_part_model
from regionflow.formats.part_set import PartSet
from regionflow.parts.agglomerator import Agglomerator, Probe
from regionflow.parts.classes import class_of
from regionflow.parts.options import ProbeOptions
from regionflow.parts.pixels import normalised
from regionflow.train.loop import Loop, Row, Stateful, batch_rows
from regionflow.train.parts.data import Rows
from regionflow.weights.checkpoint import what_does_not_fit

BATCH = 64
RECORD_ROWS = 50
BETAS = (0.95, 0.98)


@dataclass(frozen=True)
class Classifier:
    """A probe in eval mode and the names of its classes."""

    probe: Probe
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Tested:
    """Counts [K, K] of images by true (row) and predicted (column) class; and how many images count nowhere, since no
    image of their class was trained on."""

    confusion: NDArray[np.int64]
    of_unknown_class: int = 0

    @property
    def accuracy(self) -> float:
        """Share of the images whose class is right; NaN without images."""
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion) / total) if total else float("nan")


def top_levels(student: Agglomerator, data: PartSet, rows: NDArray[np.int64], path: Path) -> NDArray[np.float32]:
    """The frozen top level of some images [R, P, D], in a file that is mapped."""
    device = str(student.start.device)
    shape = (len(rows), student.options.grid**2, student.options.dim)
    levels = np.memmap(path, np.float32, "w+", shape=shape) if len(rows) else np.zeros(shape, np.float32)
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            images = normalised(data.pixels[rows[start : start + BATCH]], device)
            levels[start : start + BATCH] = student(images).levels[:, :, -1].cpu().numpy()
    return levels


def train_probe(
    student: Agglomerator,
    data: PartSet,
    rows: Rows,
    options: ProbeOptions,
    checkpoint: Path,
    *,
    tell: Callable[[Row], None] = lambda row: None,
) -> tuple[Classifier, list[Row]]:
    """Train a probe on the training images, and its record: loss, and accuracy of the held-out images.

    Raises UserError if the training images are of fewer than two classes.
    """
    classes = tuple(sorted({class_of(data.image_ids[row]) for row in rows.train}))
    if len(classes) < 2:
        raise UserError(
            f"parts.probe: the {len(rows.train)} images that are trained on are all of one class "
            f"({', '.join(classes)}); add images of other classes, each class in a folder of its name"
        )
    device, work = str(student.start.device), checkpoint.with_suffix(".levels")
    work.parent.mkdir(parents=True, exist_ok=True)
    try:
        levels = top_levels(student.eval(), data, rows.train, work)
        labels = torch.tensor([classes.index(class_of(data.image_ids[row])) for row in rows.train])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            probe = Probe(levels.shape[1], levels.shape[2], len(classes), options.dropout).to(device)
            training = _Training(probe, levels, labels, options)
            settings = {
                "probe": options.canonical(),
                "data": data.fingerprint,
                # A frozen student stays the same when other images are held out.
                "train": rows.train.tolist(),
                "student": tensors_sha256(student),
            }
            objects: dict[str, Stateful] = {
                "probe": probe,
                "optimiser": training.optimiser,
                "schedule": training.schedule,
            }
            loop = Loop(objects, settings, checkpoint, tell=tell)

            def evaluate() -> Mapping[str, float]:
                return {"val_accuracy": evaluate_probe(student, Classifier(probe, classes), data, rows.val).accuracy}

            loop.run(training.steps, training.advance, evaluate, max(1, training.steps // RECORD_ROWS))
    finally:
        work.unlink(missing_ok=True)
    return Classifier(probe.eval(), classes), loop.rows


class _Training:
    """The steps of a probe."""

    def __init__(self, probe: Probe, levels: NDArray[np.float32], labels: Tensor, options: ProbeOptions) -> None:
        self.probe, self.levels, self.labels, self.options = probe, levels, labels, options
        self.steps = options.epochs * max(1, len(labels) // min(options.batch_size, len(labels)))
        self.optimiser = Lion(probe.parameters(), lr=options.rate, betas=BETAS, weight_decay=options.weight_decay)
        total = max(self.steps, 2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, max_lr=options.rate, total_steps=total)

    def advance(self, step: int) -> Mapping[str, Tensor]:
        """One step; the dropout follows from its number."""
        torch.manual_seed(self.options.seed * 1_000_003 + step)
        chosen = batch_rows(len(self.labels), self.options.batch_size, step, self.options.seed)
        device = next(self.probe.parameters()).device
        top = torch.from_numpy(self.levels[chosen.numpy()]).to(device)
        loss = cross_entropy(self.probe.train()(top), self.labels[chosen].to(device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        return {"train_loss": loss}


def evaluate_probe(
    student: Agglomerator, classifier: Classifier, data: PartSet, rows: Sequence[int] | NDArray
) -> Tested:
    """Test a probe on some images."""
    confusion = np.zeros((len(classifier.classes),) * 2, np.int64)
    known = {name: label for label, name in enumerate(classifier.classes)}
    labels = {row: known[name] for row in map(int, rows) if (name := class_of(data.image_ids[row])) in known}
    device, chosen = str(student.start.device), np.array(list(labels), np.int64)
    training = classifier.probe.training
    with torch.inference_mode():
        for start in range(0, len(chosen), BATCH):
            part = chosen[start : start + BATCH]
            top = student(normalised(data.pixels[part], device)).levels[:, :, -1]
            predicted = classifier.probe.eval()(top).argmax(1).tolist()
            for row, prediction in zip(part.tolist(), predicted, strict=True):
                confusion[labels[row], prediction] += 1
    classifier.probe.train(training)
    return Tested(confusion, len(rows) - len(labels))


def write_probe(path: Path, classifier: Classifier, provenance: Mapping[str, object]) -> None:
    """Write a probe."""
    probe = classifier.probe
    options = {"columns": probe.columns, "dim": probe.dim, "classes": list(classifier.classes)}
    write_part_model(path, StoredModel(dict(classifier.probe.state_dict()), options, dict(provenance)))


def read_probe(path: Path, device: str = "cpu") -> Classifier:
    """Read a probe. Raises BadFile, naming the file, if it is none."""
    stored = read_part_model(path)
    try:
        classes = tuple(stored.options["classes"])
        probe = Probe(stored.options["columns"], stored.options["dim"], len(classes))
        probe.load_state_dict(stored.weights)
    except (KeyError, TypeError, RuntimeError) as error:
        raise BadFile.damaged(path, "a probe of parts", what_does_not_fit(error)) from None
    return Classifier(probe.to(device).eval(), classes)
