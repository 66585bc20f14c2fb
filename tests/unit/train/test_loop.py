"""The training loop: stopped anywhere and started again, it ends with the same numbers."""

import csv
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regionflow.base.errors import BadFile
from regionflow.formats.training import Row, check_checkpoint, sign_checkpoint, write_record
from regionflow.train.loop import Loop, batch_rows


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def train(folder: Path, steps: int = 23, kill_at: int | None = None, settings: str = "one") -> tuple[nn.Module, Loop]:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=23)

    def advance(step: int) -> dict[str, Tensor]:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        return {"loss": loss}

    def tell(row: Row) -> None:
        if row["step"] == kill_at:
            raise Killed

    objects = {"network": network, "optimiser": optimiser, "schedule": schedule}
    loop = Loop(objects, settings, folder / "checkpoint.pt", save_every=0, tell=tell)
    loop.run(steps, advance, lambda: {"bias": network.bias.item()}, every=5)
    return network, loop


def numbers(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("kill_at", [5, 15, 20])
def test_a_killed_training_ends_like_one_that_was_not(tmp_path: Path, kill_at: int) -> None:
    whole, record = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=kill_at)
    again, resumed = train(tmp_path / "killed")
    assert torch.equal(again.weight, whole.weight)
    assert numbers(resumed.rows) == numbers(record.rows)
    assert [row["step"] for row in resumed.rows] == [5, 10, 15, 20, 23]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first, _ = train(tmp_path)
    second, loop = train(tmp_path, kill_at=5)  # is never reached
    assert torch.equal(first.weight, second.weight)
    assert loop.step == 23


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    train(tmp_path, steps=10)
    with pytest.raises(Killed):
        train(tmp_path, kill_at=5, settings="two")


@pytest.mark.parametrize("at", [0.02, 0.5, 0.98, None])
def test_a_damaged_checkpoint_is_told_and_not_taken_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at: float | None
) -> None:
    """Cut off, or a bit flipped anywhere: torch itself compares no checksum."""
    whole, _ = train(tmp_path / "whole")
    train(tmp_path, steps=10)
    path = tmp_path / "checkpoint.pt"
    data = bytearray(path.read_bytes())
    if at is None:
        del data[200:]
    else:
        data[int(at * len(data))] ^= 1
    path.write_bytes(data)
    network, loop = train(tmp_path)
    assert f"{path}: not taken up, so that the training begins anew" in capsys.readouterr().out
    assert loop.step == 23
    assert torch.equal(network.weight, whole.weight)


def test_torch_reads_a_checkpoint_with_its_checksum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, steps=10)
    path = tmp_path / "checkpoint.pt"
    check_checkpoint(path)
    assert torch.load(path, weights_only=True)["step"] == 10
    assert zipfile.ZipFile(path).testzip() is None
    with pytest.raises(ValueError, match="with a comment"):
        sign_checkpoint(path)
    with pytest.raises(BadFile, match="no such file"):
        check_checkpoint(tmp_path / "gone.pt")
    train(tmp_path, steps=10)
    assert capsys.readouterr().out == ""


def test_a_checkpoint_of_another_network_that_says_it_is_of_this_one_is_named(tmp_path: Path) -> None:
    train(tmp_path, steps=10)
    path = tmp_path / "checkpoint.pt"
    kept = torch.load(path, weights_only=True)
    kept["states"]["network"]["weight"] = torch.zeros(1, 4)
    torch.save(kept, path)
    sign_checkpoint(path)
    with pytest.raises(BadFile, match=f"{path}: .*its network does not fit: 1 tensors of another shape.*delete it"):
        train(tmp_path)
    path.unlink()
    assert train(tmp_path)[1].step == 23


def test_the_record_is_a_table(tmp_path: Path) -> None:
    _, loop = train(tmp_path)
    write_record(tmp_path / "record.csv", loop.rows)
    with (tmp_path / "record.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "seconds", "loss", "bias"]
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20, 23]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_an_epoch_sees_every_image_once_and_the_next_in_another_order() -> None:
    epochs = [torch.cat([batch_rows(10, 5, 2 * epoch + i, seed=0) for i in range(2)]) for epoch in range(2)]
    assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    assert sorted(batch_rows(3, 5, 7, seed=0).tolist()) == [0, 1, 2]
