"""Weights that would be downloaded and cannot be are told before any job, with the file to fetch and its place."""

from pathlib import Path

import pytest

from regionflow.config.load import load_config
from regionflow.features import timm_cache
from regionflow.run.preflight import network_problems
from regionflow.weights import files
from regionflow.weights.download import reachable, told_in_steps
from regionflow.weights.published import CHECKPOINTS

CONFIG = load_config({})
NAMES = [("segmenters", "sam_vit_h"), ("segmenters", "merge_tree"), ("extractors", "dinov2_vits14")]


@pytest.fixture
def cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without network, weights and caches."""
    for module in (files, timm_cache):
        monkeypatch.setattr(module, "reachable", lambda url: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_file_is_told_with_its_address_and_its_place(cut_off):
    extractor, segmenter = network_problems(CONFIG, NAMES)
    assert segmenter.startswith("segmenters.sam_vit_h.checkpoint: weights/sam_vit_h_4b8939.pth is not there")
    assert CHECKPOINTS["vit_h"].url in segmenter and str(cut_off / "weights/sam_vit_h_4b8939.pth") in segmenter
    assert extractor.startswith("extractors.dinov2_vits14.model: the weights of vit_small_patch14_dinov2.lvd142m")
    assert "under `checkpoint`" in extractor


def test_files_that_are_there_need_no_network(cut_off):
    (cut_off / "weights").mkdir()
    (cut_off / "weights/sam_vit_h_4b8939.pth").touch()
    snapshot = cut_off / "hub/models--timm--vit_small_patch14_dinov2.lvd142m/snapshots/abc"
    snapshot.mkdir(parents=True)
    assert len(list(network_problems(CONFIG, NAMES))) == 1  # a download that broke off has an empty snapshot
    (snapshot / "model.safetensors").touch()
    assert not list(network_problems(CONFIG, NAMES))


def test_a_local_checkpoint_and_random_weights_need_no_network(cut_off):
    for more in ({"checkpoint": "mine.pth"}, {"random_seed": 1}):
        config = load_config({"extractors": {"vit": {"type": "timm", "model": "test_vit", **more}}})
        assert not list(network_problems(config, [("extractors", "vit")]))


def test_a_host_is_looked_up_by_us_or_by_the_proxy(monkeypatch):
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    assert reachable("https://localhost/file")
    assert not reachable("https://no-such-host.invalid/file")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert reachable("https://no-such-host.invalid/file")


def test_progress_is_a_line_every_five_percent():
    lines: list[str] = []
    told = told_in_steps(lines.append)
    for there in range(0, 2_500_000_001, 1_000_000):
        told(there, 2_500_000_000)
    assert len(lines) == 21
    assert (lines[1], lines[-1]) == ("125 MB of 2500 MB (5%)", "2500 MB of 2500 MB (100%)")
