"""A card that is promised and that torch cannot use: the run goes on, and its logs say so."""

from pathlib import Path

import pytest
import torch

from helpers.scenes import save_photos
from helpers.workflow import Workspace


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use a card here")
def test_models_run_on_the_cpu_where_torch_cannot_use_the_card_of_the_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config = {
        "images": {"dir": "photos"},
        "extractors": {"vit": {"type": "timm", "model": "test_vit", "random_seed": 0}},
        "runtime": {"keep_features": True},
    }
    workspace = Workspace(tmp_path, config)
    save_photos(workspace.path("photos"), ["a.png", "b.png"], height=60, width=60)
    run = workspace.snakemake(*(f"results/features/vit/{image}.h5" for image in "ab"))
    assert "1 GPU slot on card 0" in run.output
    logs = [log.read_text() for log in sorted(workspace.path("logs/features/vit").glob("*.log"))]
    assert len(logs) == 2 and all("in gpu-0" in log for log in logs)
    assert "".join(logs).count("cannot use it") == 1
