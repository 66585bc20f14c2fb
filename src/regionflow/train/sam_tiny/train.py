"""Train the embedded SAM: `python -m regionflow.train.sam_tiny.train --out DIR`, or `make train-sam-tiny`.

Scenes are drawn into DIR/scenes. Every batch follows from the seed and the step's number, and a checkpoint is written
every few minutes, so that the same command goes on where it was stopped and ends with the same numbers. The record is
DIR/record.csv.
"""

import argparse
import copy
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch import Tensor, nn

from regionflow.base.errors import UserError
from regionflow.formats.training import Row, write_record
from regionflow.sam.tiny import SIDE, sam_tiny
from regionflow.train.loop import Loop, Stateful
from regionflow.train.sam_tiny.data import Batch, Recipe, SceneSet, make_batch
from regionflow.train.sam_tiny.decoding import look_at_the_click
from regionflow.train.sam_tiny.losses import Places, Readout, Schedule, batch_loss

CROP = 128
RATE = 1.5e-3
PARTS = ("sam", "readout", "places", "mean", "optimiser")
RECORD_EVERY, SAVE_EVERY = 50, 180
"""Steps between rows of the record; seconds between checkpoints."""

Change = tuple[float, float]
"""A value at the first step of a phase and after its last; it changes evenly in between."""


@dataclass(frozen=True)
class Phase:
    """Steps with the same losses, but for their balance.

    rate: share of RATE, after a short warm-up if `warm_up`. frames_every: one batch in so many is of whole frames, the
    others are of crops. clicks: per crop and per frame. power: as in `Recipe`; the others: as in `Schedule`.
    """

    steps: int
    rate: Change
    decoder: bool = False
    balance: Change = (0.3, 0.3)
    connected: bool = True
    power: Change = (0.9, 0.9)
    frames_every: int = 2
    clicks: tuple[int, int] = (4, 4)
    warm_up: bool = False

    def schedule(self, done: float) -> Schedule:
        """Losses where `done` of the phase is done, from 0 to 1."""
        return Schedule(self.decoder, _at(self.balance, done), self.connected)


def _at(change: Change, done: float) -> float:
    return change[0] + (change[1] - change[0]) * done


# Three rounds: the encoder alone, everything on crops and frames, everything on frames.
ENCODER = Phase(2300, (1.0, 0.5), clicks=(2, 4))
EVERYTHING = Phase(1450, (0.5, 0.05), decoder=True, warm_up=True)
FRAMES = replace(EVERYTHING, steps=300, rate=(0.05, 0.005), frames_every=1, warm_up=False)


def _again(encoder: int, rate: Change, everything: int) -> tuple[Phase, Phase, Phase]:
    """A round more: so many steps of the encoder alone, at these rates, and of everything on crops and frames."""
    return (
        replace(ENCODER, steps=encoder, rate=rate, warm_up=True),
        replace(EVERYTHING, steps=everything, rate=(0.35, 0.05)),
        FRAMES,
    )


PHASES = (
    replace(
        ENCODER,
        steps=300,
        rate=(1.0, 1.0),
        balance=(1.0, 0.3),
        connected=False,
        power=(0.5, 0.9),
        clicks=(4, 8),
        warm_up=True,
    ),
    ENCODER,
    EVERYTHING,
    replace(FRAMES, steps=250),
    *_again(3000, (0.8, 0.3), 1300),
    *_again(2500, (0.7, 0.2), 1200),
)


@dataclass(frozen=True)
class Plan:
    """Stages one after the other, and sizes."""

    phases: tuple[Phase, ...] = PHASES
    crops: int = 12
    frames: int = 3
    warm_up: int = 100
    weight_decay: float = 0.03
    ema: float = 0.998
    seed: int = 0
    bf16: bool = False

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> tuple[Phase, int]:
        """The phase of a step, and how many of its steps came before."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(f"training has {self.steps} steps")

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        phase, since = self.phase(step)
        warm = min(1.0, (since + 1) / self.warm_up) if phase.warm_up else 1.0
        return RATE * warm * _at(phase.rate, since / phase.steps)

    def schedule(self, step: int) -> Schedule:
        """Losses of a step."""
        phase, since = self.phase(step)
        return phase.schedule(since / phase.steps)

    def batch(self, source: SceneSet, step: int) -> Batch:
        """Crops or frames."""
        phase, since = self.phase(step)
        frames = step % phase.frames_every == phase.frames_every - 1
        side, size = (SIDE, self.frames) if frames else (CROP, self.crops)
        power = _at(phase.power, since / phase.steps)
        return make_batch(source, (self.seed, step), Recipe(size, side, phase.clicks[frames], power))


class Training:
    """Everything that a step changes: networks, optimiser, running mean of the weights."""

    def __init__(self, plan: Plan, device: str) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.device = device
        self.sam = sam_tiny().train()
        self.readout = Readout()
        look_at_the_click(self.sam)
        self.places = Places()
        self.sam.to(device)
        self.readout.to(device)
        self.places.to(device)
        self.mean: Sam = copy.deepcopy(self.sam).eval().requires_grad_(False)
        parameters = [*self.sam.parameters(), *self.readout.parameters()]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": plan.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            {"params": [*self.places.parameters()], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))

    def loop(self, checkpoint: Path, tell: Callable[[Row], None] = lambda row: None, save_every: float = 0) -> Loop:
        """What goes on from the checkpoint.

        Raises UserError if it is of another plan: hours of work are not written over.
        """
        objects: dict[str, Stateful] = {name: getattr(self, name) for name in PARTS}
        loop = Loop(objects, asdict(self.plan), checkpoint, save_every, tell)
        if checkpoint.exists() and not loop.load():
            raise UserError(f"{checkpoint} was trained with other settings, or is damaged; give another --out")
        return loop

    def advance(self, source: SceneSet, step: int) -> dict[str, Tensor]:
        """The step of that number: its loss, and means to watch."""
        groups = self.optimiser.param_groups
        for group in groups:
            group["lr"] = self.plan.rate(step)
        batch = _to(self.plan.batch(source, step), self.device)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.plan.bf16):
            outcome = batch_loss(self.sam, (self.readout, self.places), batch, self.plan.schedule(step))
        outcome.loss.backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"] if p.grad is not None], 1.0)
        self.optimiser.step()
        self._update_average(step + 1)
        return {"loss": outcome.loss, **outcome.measured}

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Exponential moving average of the weights (decay grows to `ema`)."""
        keep = min(self.plan.ema, (step + 1) / (step + 10))
        for mean, now in zip(self.mean.state_dict().values(), self.sam.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


def _to(batch: Batch, device: str) -> Batch:
    return Batch(**{name: tensor.to(device) for name, tensor in batch.__dict__.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="autocast; where the processor has no bfloat16, slower")
    arguments = parser.parse_args()
    source = SceneSet(arguments.out / "scenes", arguments.scenes, os.cpu_count() or 1)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    training = Training(Plan(seed=arguments.seed, bf16=arguments.bf16), arguments.device)

    def tell(row: Row) -> None:
        print(", ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
        write_record(arguments.out / "record.csv", loop.rows)

    loop = training.loop(arguments.out / "checkpoint.pt", tell, SAVE_EVERY)
    loop.run(training.plan.steps, partial(training.advance, source), dict, RECORD_EVERY)
    export(training.mean, arguments.out / "sam_tiny.safetensors")


def export(sam: Sam, path: Path) -> None:
    """Write weights as float16, in the names of segment-anything's modules."""
    save_file({k: v.half().contiguous() if v.is_floating_point() else v for k, v in sam.state_dict().items()}, path)


if __name__ == "__main__":
    main()
