"""Slots of a run: which cards there are, how many jobs run side by side, and what the log says of it."""

import os
import stat
import sys
from pathlib import Path

import pytest

from regionflow.run import slots
from regionflow.run.slots import plan, visible_cards


@pytest.mark.parametrize(
    ("listed", "cards"),
    [
        ("0,1,2,3", ("0", "1", "2", "3")),
        ("2, 5", ("2", "5")),
        ("GPU-8932f937,MIG-1c2d", ("GPU-8932f937", "MIG-1c2d")),
        ("", ()),
        ("-1", ()),
        ("1,-1,0", ("1",)),  # CUDA reads up to the first name that is none
    ],
)
def test_visible_cards_are_those_of_the_environment(listed: str, cards: tuple[str, ...]) -> None:
    assert visible_cards({"CUDA_VISIBLE_DEVICES": listed}) == cards


def _install_nvidia_smi(directory: Path, listing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = directory / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ \"$*\" = -L ] || exit 1\ncat <<'END'\n{listing}END\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")


def test_else_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "GPU 0: NVIDIA H200 (UUID: GPU-aaaa)\nGPU 1: NVIDIA H200 (UUID: GPU-bbbb)\n"
    _install_nvidia_smi(tmp_path, listing, monkeypatch)
    assert visible_cards({}) == ("0", "1")


def test_the_parts_of_a_divided_card_stand_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "GPU 0: NVIDIA A100 (UUID: GPU-aaaa)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-cccc)\n"
        "  MIG 3g.20gb     Device  1: (UUID: MIG-dddd)\n"
        "GPU 1: NVIDIA A100 (UUID: GPU-bbbb)\n"
    )
    _install_nvidia_smi(tmp_path, listing, monkeypatch)
    assert visible_cards({}) == ("MIG-cccc", "MIG-dddd", "1")


def test_no_nvidia_smi_no_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_cards({}) == ()


@pytest.mark.parametrize(
    ("cards", "limit", "gpu_slots", "line"),
    [
        ("0,1,2,3", 4, 4, "4 GPU slots on cards 0, 1, 2, 3; 16 CPU slots; warm workers."),
        ("0,1,2,3", 8, 8, "8 GPU slots on cards 0, 1, 2, 3; 16 CPU slots; warm workers."),
        ("7", None, 1, "1 GPU slot on card 7; 16 CPU slots; warm workers."),
        ("", None, 0, "no card: models run on the CPU in 16 slots; 16 CPU slots; warm workers."),
        ("", 2, 2, "no card: models run on the CPU in 2 slots; 16 CPU slots; warm workers."),
        ("0,1", 0, 0, "no card: models run on the CPU in 16 slots; 16 CPU slots; warm workers."),
    ],
)
def test_plan(cards: str, limit: int | None, gpu_slots: int, line: str) -> None:
    planned = plan(16, limit, warm=True, environ={"CUDA_VISIBLE_DEVICES": cards})
    assert (planned.cpu, planned.gpu) == (16, gpu_slots)
    assert planned.describe() == line


def test_the_directory_of_the_sockets_stays_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: "/scratch/" + 80 * "x")
    run_dir = plan(1, None, warm=True, environ={"CUDA_VISIBLE_DEVICES": ""}).environment()["REGIONFLOW_RUN_DIR"]
    assert len(f"{run_dir}/gpu-127.sock") < 108  # bytes in a sockaddr_un


def test_a_system_without_pidfd_runs_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert slots.why_not_warm() is None
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert "pidfd_open" in (slots.why_not_warm() or "")
