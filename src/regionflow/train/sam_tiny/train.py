"""Train the embedded SAM: `python -m regionflow.train.sam_tiny.train --out DIR`, or `make train-sam-tiny`.

Scenes are drawn into DIR/scenes. Every batch follows from the seed and the step's number, and a checkpoint is written
every few minutes, so that the same command goes on where it was stopped and ends with the same numbers. The log is
DIR/record.jsonl.
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch import nn

from regionflow.sam.tiny import SIDE, sam_tiny
from regionflow.train.sam_tiny.data import Batch, Recipe, SceneSet, make_batch
from regionflow.train.sam_tiny.decoding import look_at_the_click
from regionflow.train.sam_tiny.losses import Outcome, Places, Readout, Schedule, batch_loss

CROP = 128
RATE = 1.5e-3
PARTS = ("sam", "readout", "places", "mean", "optimiser")

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
    """Everything that a checkpoint holds: networks, optimiser, running mean of the weights, number of steps done."""

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
        self.step = 0
        self.seconds = 0.0

    def advance(self, source: SceneSet) -> Outcome:
        """One step."""
        groups = self.optimiser.param_groups
        for group in groups:
            group["lr"] = self.plan.rate(self.step)
        batch = _to(self.plan.batch(source, self.step), self.device)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.plan.bf16):
            outcome = batch_loss(self.sam, (self.readout, self.places), batch, self.plan.schedule(self.step))
        outcome.loss.backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"] if p.grad is not None], 1.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return outcome

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average of the weights (decay grows to `ema`)."""
        keep = min(self.plan.ema, (self.step + 1) / (self.step + 10))
        for mean, now in zip(self.mean.state_dict().values(), self.sam.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)

    def save(self, path: Path) -> None:
        state = {name: getattr(self, name).state_dict() for name in PARTS}
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "plan": asdict(self.plan)}, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same plan."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise SystemExit(f"{path} was trained with other settings ({state['plan']}); give another --out")
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]


def _to(batch: Batch, device: str) -> Batch:
    return Batch(**{name: tensor.to(device) for name, tensor in batch.__dict__.items()})


def _means(training: Training, source: SceneSet, every: int) -> Iterator[dict[str, float]]:
    """Train to the end; means over the last `every` steps, after each `every` steps."""
    sums: dict[str, float] = {}
    count = 0
    started = time.perf_counter()
    while training.step < training.plan.steps:
        outcome = training.advance(source)
        for name, value in {"loss": outcome.loss.detach(), **outcome.measured}.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        count += 1
        if training.step % every == 0 or training.step == training.plan.steps:
            now = time.perf_counter()
            training.seconds += now - started
            rounded = {name: round(total / count, 4) for name, total in sums.items()}
            yield {"step": training.step, "seconds": round(training.seconds), **rounded}
            started, sums, count = now, {}, 0


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
    checkpoint = arguments.out / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    saved = time.monotonic()
    log = arguments.out / "record.jsonl"
    _forget_after(log, training.step)
    with log.open("a") as record:
        for means in _means(training, source, every=50):
            print(json.dumps(means), file=record, flush=True)
            if time.monotonic() - saved > 180:
                training.save(checkpoint)
                saved = time.monotonic()
    training.save(checkpoint)
    export(training.mean, arguments.out / "sam_tiny.safetensors")


def _forget_after(log: Path, step: int) -> None:
    """Drop what was logged after the checkpoint that training goes on from."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    log.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))


def export(sam: Sam, path: Path) -> None:
    """Write weights as float16, in the names of segment-anything's modules."""
    save_file({k: v.half().contiguous() if v.is_floating_point() else v for k, v in sam.state_dict().items()}, path)


if __name__ == "__main__":
    main()
