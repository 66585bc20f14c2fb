"""Where a model runs: what the configuration names, and with auto what the slot offers if torch can use it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from regionflow.base.errors import UserError
from regionflow.run import devices
from regionflow.run.job import Job


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    devices._no_card.cache_clear()
    yield
    devices._no_card.cache_clear()


def job(offered: str, wanted: str = "auto") -> Job:
    return Job("masks", {}, {}, {}, runtime={"device": wanted}, device=offered)


@pytest.mark.parametrize(
    "error", [AssertionError("Torch not compiled with CUDA enabled"), RuntimeError("no kernel image\nmore about it")]
)
def test_auto_falls_back_once_with_a_sentence_where_torch_cannot_use_the_card(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def zeros(*size: int, device: str) -> None:
        raise error

    monkeypatch.setattr(torch, "zeros", zeros)
    assert [devices.pick(job("cuda")) for _ in range(3)] == ["cpu"] * 3
    told = capsys.readouterr().out
    assert told.count("cannot use it") == 1
    assert f"({str(error).splitlines()[0]}): models run on the CPU" in told


def test_auto_takes_a_card_that_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    zeros = torch.zeros

    def on_card(*size: int, device: str) -> torch.Tensor:
        assert device == "cuda"
        return zeros(*size)

    monkeypatch.setattr(torch, "zeros", on_card)
    assert devices.pick(job("cuda")) == "cuda"
    assert capsys.readouterr().out == ""


def test_a_slot_without_a_card_asks_nothing_of_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(*size: int, **device: Any) -> None:
        raise AssertionError("tried")

    monkeypatch.setattr(torch, "zeros", zeros)
    assert devices.pick(job("cpu")) == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card")
def test_a_card_that_the_configuration_names_is_an_error_where_there_is_none() -> None:
    with pytest.raises(UserError, match=r"runtime\.device is cuda, which this machine does not have"):
        devices.pick(job("cuda", wanted="cuda"))
