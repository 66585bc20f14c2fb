"""Train the Agglomerator to give the teacher's embeddings at every patch and level (Radwan and Shehata, ICCVW 2023)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from timm.optim import Lion
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from regionflow.base.errors import UserError
from regionflow.features.timm_load import tensors_sha256
from regionflow.formats.part_set import PartSet
from regionflow.formats.parts import EMPTY
from regionflow.parts.agglomerator import Agglomerator, levels_loss
from regionflow.parts.islands import agreement
from regionflow.parts.options import StudentOptions, TrainingOptions
from regionflow.parts.students import load_student
from regionflow.train.loop import Loop, Row, Stateful, batch_rows
from regionflow.train.parts.data import Batch, Rows, batch, split_rows

RECORD_ROWS = 50
EVALUATION_BATCH = 64
AGREEMENT_IMAGES = 32
LION_BETAS, ADAMW_BETAS = (0.95, 0.98), (0.9, 0.999)


@dataclass(frozen=True)
class Distilled:
    """A trained student in eval mode, its record, and figures: validation loss, the baseline's, agreement per level."""

    student: Agglomerator
    record: list[Row]
    metrics: dict[str, float | list[float]]


class Distillation:
    """One training: student, optimiser, schedule, average, and the set it learns from."""

    def __init__(self, data: PartSet, student: StudentOptions, training: TrainingOptions, device: str = "cpu") -> None:
        check(data, student, training)
        self.data, self.training, self.device = data, training, device
        self.rows: Rows = split_rows(data.splits, training.val_fraction, training.seed)
        if (data.index[self.rows.train] == EMPTY).all():
            raise UserError(
                "the teacher has no mask in any image that is trained on, so there is nothing to learn; name another "
                "parts.teacher.segmenter, or add images"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            model = Agglomerator(student)
        if training.start is not None:
            load_student(model, Path(training.start))
        elif training.targets == "standardised":
            mean, std = self._statistics()
            model.target_mean.copy_(mean)
            model.target_std.copy_(std)
        self.student = model.to(device)
        self.average = None
        if training.ema is not None:
            follow = get_ema_multi_avg_fn(training.ema)
            self.average = AveragedModel(self.student, multi_avg_fn=follow, use_buffers=True)
        self.steps = training.epochs * max(1, len(self.rows.train) // min(training.batch_size, len(self.rows.train)))
        self.optimiser = _optimiser(self.student, training)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, max_lr=training.rate, total_steps=max(self.steps, 2)
        )
        self.level_weights = torch.tensor(training.level_weights, device=device)

    def run(
        self, checkpoint: Path, tell: Callable[[Row], None] = lambda row: None, save_every: float = 120.0
    ) -> Distilled:
        """Train to the end, from the checkpoint where there is one of this very training.

        Raises UserError where the loss does not stay finite.
        """
        objects: dict[str, Stateful] = {"student": self.student, "optimiser": self.optimiser, "schedule": self.schedule}
        if self.average is not None:
            objects["average"] = self.average
        settings: dict[str, Any] = {
            "student": self.student.options.canonical(),
            "training": self.training.canonical(),
            "data": self.data.fingerprint,
        }
        if self.training.start is not None:
            # Its path is in the options, but another file may lie there now.
            settings["start"] = tensors_sha256(self.student)
        before = self.evaluate()
        loop = Loop(objects, settings, checkpoint, save_every, tell=partial(_tell_finite, tell))
        loop.run(self.steps, self.advance, self.evaluate, max(1, self.steps // RECORD_ROWS))
        return Distilled(self.kept.eval(), loop.rows, self.metrics(before))

    @property
    def kept(self) -> Agglomerator:
        """The network that is kept: the average if there is one."""
        return cast(Agglomerator, self.average.module) if self.average is not None else self.student

    def advance(self, step: int) -> Mapping[str, Tensor]:
        """One step; its loss, and the rate and the four weights of the update that it was made with."""
        self.student.train()
        chosen = batch_rows(len(self.rows.train), self.training.batch_size, step, self.training.seed)
        now = batch(self.data, self.rows.train[chosen.numpy()], self.device)
        record = {"rate": torch.tensor(self.schedule.get_last_lr()[0])}
        names = ("weight_itself", "weight_bottom_up", "weight_top_down", "weight_consensus")
        record |= dict(zip(names, self.student.weights.detach().clone(), strict=True))
        loss = self._loss(self.student, now)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.student)
        return {"train_loss": loss, **record}

    def evaluate(self) -> dict[str, float]:
        """Validation loss, in all and per level, and the agreement of the islands per level."""
        levels = len(self.training.level_weights)
        errors, counts = np.zeros(levels), np.zeros(levels)
        with _evaluating(self.kept) as student:
            for part in self._batches(self.rows.val):
                outputs, targets = student(part.images).outputs, student.standardised(part.targets)
                difference = (outputs - targets).square().mean(-1) * part.valid
                errors += difference.double().sum((0, 1)).cpu().numpy()
                counts += part.valid.sum((0, 1)).cpu().numpy()
        return {**self._named(errors, counts), **self._agreement()}

    def metrics(self, before: Mapping[str, float]) -> dict[str, float | list[float]]:
        """Figures of the trained student; `before`: what `evaluate` gave before the training."""
        after, baseline, levels = self.evaluate(), self.baseline(), len(self.training.level_weights)
        return {
            "train_images": len(self.rows.train),
            "val_images": len(self.rows.val),
            "steps": self.steps,
            "val_loss": after["val_loss"],
            "baseline_val_loss": baseline["val_loss"],
            "val_loss_before": before["val_loss"],
            "agreement": [after[f"agreement_{level}"] for level in range(levels)],
            "agreement_before": [before[f"agreement_{level}"] for level in range(levels)],
        }

    def baseline(self) -> dict[str, float]:
        """Validation loss of the mean training target of every patch and level; of all where one has none."""
        total, count = self._summed()
        everywhere = total.sum((0, 1)) / count.sum().clamp(min=1)
        mean = torch.where(count[..., None] > 0, total / count.clamp(min=1)[..., None], everywhere)
        levels = len(self.training.level_weights)
        errors, counts = np.zeros(levels), np.zeros(levels)
        for part in self._batches(self.rows.val):
            difference = self.kept.standardised(part.targets) - self.kept.standardised(mean)
            errors += (difference.square().mean(-1) * part.valid).sum((0, 1)).cpu().numpy()
            counts += part.valid.sum((0, 1)).cpu().numpy()
        return self._named(errors, counts)

    def _summed(self) -> tuple[Tensor, Tensor]:
        """Sum of the training images' targets [P, L, E], and how many they are [P, L]."""
        patches, levels = self.data.index.shape[1:]
        total = torch.zeros(patches, levels, self.data.embeddings.shape[1], dtype=torch.double, device=self.device)
        count = torch.zeros(patches, levels, dtype=torch.double, device=self.device)
        for part in self._batches(self.rows.train):
            total += (part.targets * part.valid[..., None]).double().sum(0)
            count += part.valid.double().sum(0)
        return total, count

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [E] of the training images' targets, each patch and level counted once."""
        width = self.data.embeddings.shape[1]
        count, total, squares = 0.0, torch.zeros(width).double(), torch.zeros(width).double()
        for part in self._batches(self.rows.train):
            rows = part.targets[part.valid].double().cpu()
            count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.square().sum(0)
        mean = total / max(count, 1)
        std = (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt()
        # A number that is the same for all masks has nothing to teach, and no spread to be measured in.
        return mean.float(), torch.where(std > 1e-4 * std.max(), std, std.max().clamp(min=1e-12)).float()

    def _loss(self, student: Agglomerator, now: Batch) -> Tensor:
        bf16 = self.training.precision == "bf16" and self.device.startswith("cuda") and torch.cuda.is_bf16_supported()
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=bf16):
            outputs = student(now.images).outputs
        return levels_loss(outputs.float(), student.standardised(now.targets), now.valid, self.level_weights)

    def _agreement(self) -> dict[str, float]:
        scores = []
        with _evaluating(self.kept) as student:
            for row in self.rows.val[:AGREEMENT_IMAGES]:
                vectors = student(batch(self.data, np.array([row]), self.device).images).levels[0].cpu().numpy()
                scores.append(agreement(vectors, *self.data.image(int(row))))
        return {f"agreement_{level}": _mean(column) for level, column in enumerate(np.array(scores).T)}

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[Batch]:
        for start in range(0, len(rows), EVALUATION_BATCH):
            yield batch(self.data, rows[start : start + EVALUATION_BATCH], self.device)

    def _named(self, errors: NDArray[np.float64], counts: NDArray[np.float64]) -> dict[str, float]:
        """Losses by name of summed errors and how many they are of, per level; NaN where there is none."""
        means = np.divide(errors, counts, out=np.full(len(errors), np.nan), where=counts > 0)
        per_level = {f"val_loss_{level}": float(mean) for level, mean in enumerate(means)}
        weighted = [weight * mean for weight, mean in zip(self.training.level_weights, means, strict=True) if weight]
        return {"val_loss": float(sum(weighted)), **per_level}


def check(data: PartSet, student: StudentOptions, training: TrainingOptions) -> None:
    """Raise UserError, naming the keys, where the student does not fit the teacher's targets."""
    patches, levels = data.index.shape[1:]
    width = data.embeddings.shape[1]
    if student.size != data.pixels.shape[1]:
        raise UserError(
            f"parts.student.size {student.size} is not the side of the set's images, {data.pixels.shape[1]}"
        )
    if student.grid**2 != patches:
        raise UserError(
            f"the student has {student.grid} x {student.grid} columns, the teacher {round(patches**0.5)} x "
            f"{round(patches**0.5)} patches; change parts.teacher.grid, or parts.student.size or patch_size"
        )
    if student.levels != levels or len(training.level_weights) != levels:
        raise UserError(
            f"the teacher has {levels} levels; parts.student.levels is {student.levels} and "
            f"parts.training.level_weights has {len(training.level_weights)}"
        )
    if problem := student.width_problem(width):
        raise UserError(f"parts.{problem}")


def _optimiser(student: nn.Module, training: TrainingOptions) -> torch.optim.Optimizer:
    rate, decay = training.rate, training.weight_decay
    if training.optimiser == "lion":
        return Lion(student.parameters(), lr=rate, betas=LION_BETAS, weight_decay=decay)
    return torch.optim.AdamW(student.parameters(), lr=rate, betas=ADAMW_BETAS, weight_decay=decay)


def _tell_finite(tell: Callable[[Row], None], row: Row) -> None:
    """Tell a row of the record, unless the training has failed: then a UserError says so, and nothing is kept."""
    if not np.isfinite(row["train_loss"]):
        raise UserError(
            f"the student's training has diverged: its loss is {row['train_loss']} by step {row['step']}; lower "
            "parts.training.rate (or parts.student.start_weight) and run again"
        )
    tell(row)


@contextmanager
def _evaluating(network: Agglomerator) -> Iterator[Agglomerator]:
    """Eval mode without gradients, and back to the mode before."""
    training = network.training
    with torch.inference_mode():
        yield network.eval()
    network.train(training)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
