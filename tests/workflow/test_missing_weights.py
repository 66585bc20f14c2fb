"""A run whose models cannot be had ends before its first job, with all that is to be fetched."""

import pytest

from helpers.scenes import save_photos
from helpers.workflow import Workspace

LABELERS = {
    "mine": {"type": "words", "classes": ["red", "blue"], "regions": "box"},
    "ade": {"type": "transformers", "model": "facebook/mask2former-swin-tiny-ade-semantic"},
}


def test_a_run_without_network_names_every_file_and_makes_nothing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    workspace = Workspace(tmp_path / "run")
    save_photos(workspace.path("photos"), ["a.png"])
    workspace.config = {
        "images": {"dir": "photos"},
        "extractors": {"vit": {"type": "timm", "model": "test_vit"}},
        "labelers": LABELERS,
        "targets": {"extractors": ["vit"], "labelers": ["mine", "ade"]},
        "clusters": {"k": 2},
    }
    run = workspace.snakemake(ok=False)
    assert run.code != 0
    assert "These weights are missing:" in run.output
    for key, address in {
        "extractors.vit.model": "timm/test_vit.r160_in1k/resolve/main/model.safetensors",
        "labelers.mine.pretrained": "timm/vit_base_patch16_clip_224.openai/resolve/main/open_clip_model.safetensors",
        "labelers.ade.model": f"{LABELERS['ade']['model']}/resolve/main/config.json",
    }.items():
        (line,) = (line for line in run.output.splitlines() if line.strip().startswith(key))
        assert f"fetch https://huggingface.co/{address}" in line
    made = [path for path in workspace.path("results").rglob("*") if path.is_file()]
    assert not made, "no job may have run"
    assert workspace.snakemake("-n").code == 0  # a dry run asks for nothing
