"""Train the embedded SAM: `python -m regionflow.sam_tiny.train --out DIR`, or `make train-sam-tiny`.

Scenes are drawn into DIR/scenes. Every batch follows from the seed and the step's number, and a checkpoint is written
every few minutes, so that the same command goes on where it was stopped and ends with the same numbers. The log is
DIR/record.jsonl.
"""

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch import nn

from regionflow.sam_tiny.data import Batch, Recipe, SceneSet, make_batch
from regionflow.sam_tiny.losses import Outcome, Readout, Schedule, batch_loss, look_at_the_click
from regionflow.sam_tiny.network import SIDE, sam_tiny

CROP = 128


@dataclass(frozen=True)
class Plan:
    """Steps and sizes. Warm-up, then a cosine to `final` of the learning rate at the end of the last stage."""

    encoder_steps: int
    mixed_steps: int
    frame_steps: int
    crops: int = 16
    frames: int = 4
    clicks: int = 4
    learning_rate: float = 1.5e-3
    final: float = 0.01
    warm_up: int = 100
    weight_decay: float = 0.03
    ema: float = 0.998
    seed: int = 0

    @property
    def steps(self) -> int:
        return self.encoder_steps + self.mixed_steps + self.frame_steps

    def rate(self, step: int) -> float:
        """Learning rate of a step; a second warm-up when the decoder joins."""
        since = step - self.encoder_steps if step >= self.encoder_steps else step
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (since + 1) / self.warm_up) * (self.final + (1 - self.final) * cosine)

    def schedule(self, step: int) -> Schedule:
        done = step / self.steps
        return Schedule(step >= self.encoder_steps, balance=max(0.3, 1 - 2 * done), auxiliary=max(0.2, 1 - 1.5 * done))

    def batch(self, source: SceneSet, step: int) -> Batch:
        """Crops and frames in turn, at last frames only. Without the decoder a click costs little: there are more."""
        decoder = step >= self.encoder_steps
        frames = step >= self.encoder_steps + self.mixed_steps or step % 2 == 1
        side, size = (SIDE, self.frames) if frames else (CROP, self.crops)
        clicks = self.clicks if decoder else (8 if frames else 3) * self.clicks
        power = 0.4 + 0.4 * step / self.steps
        return make_batch(source, (self.seed, step), Recipe(size, side, clicks, power))


class Training:
    """Everything that a checkpoint holds: networks, optimiser, running mean of the weights, number of steps done."""

    def __init__(self, plan: Plan, device: str) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.device = device
        self.sam = sam_tiny().train()
        self.readout = Readout()
        look_at_the_click(self.sam)
        self.sam.to(device)
        self.readout.to(device)
        self.mean: Sam = copy.deepcopy(self.sam).eval().requires_grad_(False)
        self.parameters = [*self.sam.parameters(), *self.readout.parameters()]
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98))
        self.step = 0
        self.seconds = 0.0

    def advance(self, source: SceneSet) -> Outcome:
        """One step."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate(self.step)
        batch = _to(self.plan.batch(source, self.step), self.device)
        self.optimiser.zero_grad(set_to_none=True)
        outcome = batch_loss(self.sam, self.readout, batch, self.plan.schedule(self.step))
        outcome.loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], 1.0)
        self.optimiser.step()
        self.step += 1
        self._follow()
        return outcome

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the running mean follow; faster at the beginning."""
        keep = min(self.plan.ema, (self.step + 1) / (self.step + 10))
        for mean, now in zip(self.mean.state_dict().values(), self.sam.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)

    def save(self, path: Path) -> None:
        state = {name: getattr(self, name).state_dict() for name in ("sam", "readout", "mean", "optimiser")}
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "plan": self.plan.__dict__}, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same plan."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["plan"] != self.plan.__dict__:
            raise SystemExit(f"{path} was trained with other settings ({state['plan']}); give another --out")
        for name in ("sam", "readout", "mean", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]


def _to(batch: Batch, device: str) -> Batch:
    tensors = {k: v.to(device) for k, v in batch.__dict__.items() if isinstance(v, torch.Tensor)}
    return Batch(cells=batch.cells, **tensors)


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
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument(
        "--steps", type=int, nargs=3, default=(1400, 1300, 1300), metavar=("ENCODER", "MIXED", "FRAMES")
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    source = SceneSet(arguments.out / "scenes", arguments.scenes, os.cpu_count() or 1)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    encoder, mixed, frames = arguments.steps
    training = Training(Plan(encoder, mixed, frames, seed=arguments.seed), arguments.device)
    checkpoint = arguments.out / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    saved = time.monotonic()
    with (arguments.out / "record.jsonl").open("a") as record:
        for means in _means(training, source, every=50):
            print(json.dumps(means), file=record, flush=True)
            if time.monotonic() - saved > 180:
                training.save(checkpoint)
                saved = time.monotonic()
    training.save(checkpoint)
    export(training.mean, arguments.out / "sam_tiny.safetensors")


def export(sam: Sam, path: Path) -> None:
    """Write weights as float16, in the names of segment-anything's modules."""
    save_file({k: v.half().contiguous() if v.is_floating_point() else v for k, v in sam.state_dict().items()}, path)


if __name__ == "__main__":
    main()
