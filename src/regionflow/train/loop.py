"""A training loop that goes on where it was stopped.

What a step does must follow from the step's number (and a seed) alone. Then a training that was killed and started
again ends with the same numbers as one that was not: everything that changes is in the checkpoint, the record too.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from regionflow.base.errors import BadFile
from regionflow.base.files import whole
from regionflow.formats.training import Row, check_checkpoint, sign_checkpoint
from regionflow.weights.checkpoint import what_does_not_fit


class Stateful(Protocol):
    """A network, optimiser, schedule or average of weights."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


@dataclass
class Loop:
    """Steps of a training, its checkpoint and its record.

    objects: all that a step changes; settings: JSON of all that the numbers follow from (options, seed, the data's
    hash), so that a checkpoint of another training is not taken up; checkpoint: file; save_every: seconds between
    checkpoints; tell: gets each row of the record.
    """

    objects: Mapping[str, Stateful]
    settings: Any
    checkpoint: Path
    save_every: float = 120.0
    tell: Callable[[Row], None] = lambda row: None
    step: int = 0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)

    def run(
        self,
        steps: int,
        advance: Callable[[int], Mapping[str, Tensor]],
        evaluate: Callable[[], Mapping[str, float]],
        every: int,
    ) -> None:
        """Train up to `steps` steps, from the checkpoint if there is one of the same settings.

        `advance` does the step of that number and gives what is recorded of it: the record has a row after `every`
        steps and after the last, with the mean of each value since the row before, and what `evaluate` gives then.
        """
        self.load()
        saved = time.monotonic()
        while self.step < steps:
            started, sums, count = time.monotonic(), dict[str, Tensor](), 0
            stop = min(steps, (self.step // every + 1) * every)
            for step in range(self.step, stop):
                for name, value in advance(step).items():
                    # Summed where they are: a value copied to the host would make every step wait for the card.
                    sums[name] = sums[name] + value.detach().double() if name in sums else value.detach().double()
                count += 1
            self.step = stop
            self.seconds += time.monotonic() - started
            means = {name: float(total) / count for name, total in sums.items()}
            self.rows.append({"step": stop, "seconds": round(self.seconds, 1), **means, **evaluate()})
            self.tell(self.rows[-1])
            if self.step == steps or time.monotonic() - saved >= self.save_every:
                self.save()
                saved = time.monotonic()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        states = {name: each.state_dict() for name, each in self.objects.items()}
        own = {"settings": self.settings, "step": self.step, "seconds": self.seconds, "rows": self.rows}
        with whole(self.checkpoint) as part:
            torch.save({**own, "states": states}, part)
            sign_checkpoint(part)

    def load(self) -> bool:
        """Take the checkpoint up; false where there is none, or it is of another training or damaged.

        Raises BadFile, naming it, if it says that it is of this training but does not fit.
        """
        try:
            if not self.checkpoint.exists():
                return False
            check_checkpoint(self.checkpoint)
            kept = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            if kept["settings"] != self.settings:
                return False
            states = {name: kept["states"][name] for name in self.objects}
        except Exception as error:  # whatever is wrong with it, the training can begin anew
            print(
                f"{self.checkpoint}: not taken up, so that the training begins anew ({type(error).__name__}: {error})"
            )
            return False
        for name, state in states.items():
            try:
                self.objects[name].load_state_dict(state)
            except (RuntimeError, KeyError, ValueError) as error:  # now half of it is taken up
                reason = f"its {name} does not fit: {what_does_not_fit(error)}"
                raise BadFile.damaged(self.checkpoint, "the checkpoint of this training", reason) from None
        self.step, self.seconds, self.rows = kept["step"], kept["seconds"], kept["rows"]
        return True


def batch_rows(rows: int, size: int, step: int, seed: int) -> Tensor:
    """Indices of the batch of a step: each epoch is a permutation of its own, its incomplete last batch is left out.

    With fewer rows than `size` every batch is all of them.
    """
    size = min(size, rows)
    epoch, batch = divmod(step, rows // size)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(rows, generator=generator)[batch * size : (batch + 1) * size]
