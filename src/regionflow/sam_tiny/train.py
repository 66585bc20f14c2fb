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
from regionflow.sam_tiny.decoding import look_at_the_click
from regionflow.sam_tiny.losses import Outcome, Places, Readout, Schedule, batch_loss, quality_loss
from regionflow.sam_tiny.network import SIDE, sam_tiny

CROP = 128
ENCODER_SHARE = 10 / 37
CONNECTED = 0.4333
"""Share of the mixed stage after which only what is connected to the click counts."""
STEPS = (1000, 1500, 500, 150)
PARTS = ("sam", "readout", "places", "mean", "optimiser", "calibrator")


@dataclass(frozen=True)
class Plan:
    """Steps and sizes. Warm-up, then a cosine to `final` of the learning rate at the end of the frames' stage.

    The last stage trains nothing but the head that predicts IoUs, on the running mean of the weights.
    """

    encoder_steps: int
    mixed_steps: int
    frame_steps: int
    calibration_steps: int
    crops: int = 12
    frames: int = 3
    clicks: int = 4
    learning_rate: float = 1.5e-3
    final: float = 0.01
    warm_up: int = 100
    weight_decay: float = 0.03
    ema: float = 0.998
    seed: int = 0
    bf16: bool = False

    @property
    def mask_steps(self) -> int:
        return self.encoder_steps + self.mixed_steps + self.frame_steps

    @property
    def steps(self) -> int:
        return self.mask_steps + self.calibration_steps

    def progress(self, step: int) -> float:
        """From 0 to 1 at the end of the frames' stage; the encoder's stage has a fixed share."""
        if step < self.encoder_steps:
            return ENCODER_SHARE * step / self.encoder_steps
        return ENCODER_SHARE + (1 - ENCODER_SHARE) * (step - self.encoder_steps) / (
            self.mask_steps - self.encoder_steps
        )

    def rate(self, step: int) -> float:
        """Learning rate of a step; a second warm-up when the decoder joins."""
        if step >= self.mask_steps:
            return self.learning_rate * (1 - (step - self.mask_steps) / self.calibration_steps)
        since = step - self.encoder_steps if step >= self.encoder_steps else step
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress(step)))
        return self.learning_rate * min(1.0, (since + 1) / self.warm_up) * (self.final + (1 - self.final) * cosine)

    def schedule(self, step: int) -> Schedule:
        """Edges count more after a while: at equal weight they were hardly learned.

        From when the decoder joins the embedding must tell where its region is: until then masks go by colour alone.
        """
        done, decoder = self.progress(step), step >= self.encoder_steps
        blurred = step < 0.4 * self.encoder_steps
        return Schedule(
            decoder=decoder,
            balance=max(0.3, 1 - 2 * done),
            auxiliary=max(0.2, 1 - 1.5 * done),
            edges=4 if blurred else 12,
            edge_rarity=1 if blurred else 3,
            places=4 if decoder else 0,
            connected=step >= self.encoder_steps + CONNECTED * self.mixed_steps,
        )

    def batch(self, source: SceneSet, step: int) -> Batch:
        """Crops and frames, at last frames only. Clicks that are not decoded cost little."""
        decoder = self.encoder_steps <= step < self.mask_steps
        every = 4 if step < self.encoder_steps else 2
        frames = step >= self.encoder_steps + self.mixed_steps or step % every == every - 1
        side, size = (SIDE, self.frames) if frames else (CROP, self.crops)
        clicks = self.clicks if decoder else (4 if frames else 2) * self.clicks
        power = 0.4 + 0.4 * min(1.0, self.progress(step))
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
        self.optimiser = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98))
        head = self.mean.mask_decoder.iou_prediction_head.requires_grad_(True)
        self.calibrator = torch.optim.AdamW(head.parameters(), lr=plan.learning_rate)
        self.step = 0
        self.seconds = 0.0

    def advance(self, source: SceneSet) -> Outcome:
        """One step."""
        calibrating = self.step >= self.plan.mask_steps
        optimiser = self.calibrator if calibrating else self.optimiser
        for group in optimiser.param_groups:
            group["lr"] = self.plan.rate(self.step)
        batch = _to(self.plan.batch(source, self.step), self.device)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.plan.bf16):
            if calibrating:
                outcome = quality_loss(self.mean, batch)
            else:
                outcome = batch_loss(self.sam, (self.readout, self.places), batch, self.plan.schedule(self.step))
        outcome.loss.backward()
        nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"] if p.grad is not None], 1.0)
        optimiser.step()
        self.step += 1
        if not calibrating:
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
        state = {name: getattr(self, name).state_dict() for name in PARTS}
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "plan": self.plan.__dict__}, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same plan."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["plan"] != self.plan.__dict__:
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
    stages = ("ENCODER", "MIXED", "FRAMES", "CALIBRATION")
    parser.add_argument("--steps", type=int, nargs=4, default=STEPS, metavar=stages)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="autocast; where the processor has no bfloat16, slower")
    arguments = parser.parse_args()
    source = SceneSet(arguments.out / "scenes", arguments.scenes, os.cpu_count() or 1)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    encoder, mixed, frames, calibration = arguments.steps
    plan = Plan(encoder, mixed, frames, calibration, seed=arguments.seed, bf16=arguments.bf16)
    training = Training(plan, arguments.device)
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
