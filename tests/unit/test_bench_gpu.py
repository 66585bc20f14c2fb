"""`make bench-gpu`: what it writes, and that it writes nothing where there is no card."""

import importlib.util
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks/gpu.py"
PAGE = ROOT / "docs/performance.md"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("bench_gpu", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path: Path) -> Path:
    copied = tmp_path / "performance.md"
    copied.write_text(PAGE.read_text())
    return copied


def _run(gpu: ModuleType, page: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--into", str(page), *arguments])
    gpu.main()


def test_without_a_card_one_sentence_is_said_and_nothing_written(
    gpu: ModuleType, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "measure", lambda *args: pytest.fail("measured"))
    with pytest.raises(SystemExit) as ended:
        _run(gpu, page, monkeypatch)
    assert ended.value.code == "There is no card that torch can use, so nothing is measured and nothing is written."
    assert page.read_text() == PAGE.read_text()


def test_the_table_stands_between_the_markers_with_date_and_card(
    gpu: ModuleType, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    class Anything(dict):
        def __missing__(self, key: str) -> Any:
            return Anything() if key in ("sam_tiny", "vit_b", "vit_h") else 1.5

    def measured(given: Namespace, command: tuple[str, ...]) -> dict:
        asked.append(command)
        return Anything()

    monkeypatch.setattr(gpu, "measure", measured)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "A card of ours")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Namespace(total_memory=80 << 30))
    for _ in range(2):  # a second run replaces what the first one wrote
        _run(gpu, page, monkeypatch)
    before, after = PAGE.read_text(), page.read_text()
    assert after.split(gpu.BEGIN)[0] == before.split(gpu.BEGIN)[0]
    assert after.split(gpu.END)[1] == before.split(gpu.END)[1]
    table = after.split(gpu.BEGIN)[1].split(gpu.END)[0]
    assert "A card of ours with 80 GB" in table and "Not measured" not in table
    assert [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")][1:] == [
        *("| masks, sam_tiny", "| masks, vit_b", "| masks, vit_h", "| features", "| class names", "| whole job")
    ]
    assert [command[0] for command in asked[:4]] == ["amg.py", "features.py", "seem.py", "pipeline.py"]


def test_a_file_without_the_markers_is_refused_before_anything_is_measured(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("no table here")
    with pytest.raises(SystemExit, match="has no lines"):
        _run(gpu, tmp_path / "page.md", monkeypatch, "--device", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["masks", "features", "semantics", "whole_job"])
def test_every_benchmark_has_the_figures_of_its_rows(page: Path, name: str) -> None:
    command = [sys.executable, SCRIPT, "--device", "cpu", "--quick", "--into", page, "--only", name]
    subprocess.run([*command, "--weights", "small"], check=True)
    assert "(no card)" in page.read_text()
