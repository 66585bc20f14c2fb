"""Weights that are missing and cannot be downloaded are told before any job, with the file to fetch and its place.

Every kind of every group that works with weights is tested here, and every built-in variant: the first are read from
the unions of kinds, so that a new kind is tested as well.
"""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from regionflow.base.errors import UserError
from regionflow.base.kinds import read_kind
from regionflow.base.options import Kind
from regionflow.config.builtin import BUILTIN
from regionflow.config.load import load_config
from regionflow.features.kinds import ExtractorOptions, extractor
from regionflow.features.timm_weights import timm_model
from regionflow.masks.kinds import SegmenterOptions, segmenter
from regionflow.run.preflight import network_problems, part_problems
from regionflow.semantics.kinds import LabelerKind, labeler
from regionflow.weights import fetched, files
from regionflow.weights.download import reachable, told_in_steps
from regionflow.weights.fetched import Fetched
from regionflow.weights.files import missing_weights
from regionflow.weights.published import CHECKPOINTS

CONFIG = load_config({})
GROUPS: dict[str, Any] = {"segmenters": SegmenterOptions, "extractors": ExtractorOptions, "labelers": LabelerKind}
BUILD = {"segmenters": segmenter, "extractors": extractor, "labelers": labeler}
KINDS = [(group, kind) for group, union in GROUPS.items() for kind in get_args(get_args(union)[0])]
VALUES: dict[tuple[str, str], dict[str, Any]] = {
    ("segmenters", "sam"): {"model": "vit_b", "checkpoint": "weights/sam_vit_b_01ec64.pth"},
    ("extractors", "timm"): {"model": "test_vit"},
    ("extractors", "sam_encoder"): {"model": "hq_vit_b", "checkpoint": "weights/sam_hq_vit_b.pth"},
    ("labelers", "seem"): {"checkpoint": "weights/seem_focall_v0.pt"},
    ("labelers", "transformers"): {"model": "facebook/mask2former-swin-tiny-ade-semantic"},
    ("labelers", "words"): {"classes": ["cat", "dog"], "regions": "box", "model": "ViT-B-16-SigLIP"}
    | {"pretrained": "webli"},
}


@pytest.fixture
def cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without network, weights and caches."""
    for module in (files, fetched):
        monkeypatch.setattr(module, "reachable", lambda url: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(options: Kind) -> list[str]:
    """All that is told of a kind before any job starts."""
    return [
        *missing_weights(options),
        *options.problems(),
        *files.unreachable_weights(options),
        *options.needs_network(),
    ]


@pytest.mark.parametrize(("group", "kind"), KINDS, ids=[kind.__name__ for _, kind in KINDS])
def test_every_kind_that_works_with_weights_says_what_to_fetch(cut_off: Path, group: str, kind: type[Kind]) -> None:
    name = kind.model_fields["type"].default
    if not kind.uses_card:  # learned networks do
        assert (group, name) not in VALUES
        return
    options = read_kind(GROUPS[group], {"type": name, **VALUES[group, name]})
    problems = told(options)
    assert problems
    for problem in problems:
        key, _, reason = problem.partition(": ")
        assert key in kind.model_fields
        assert re.search(r"fetch https://\S+", reason), problem
        assert "another machine" in reason


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in BUILTIN[group]])
def test_every_builtin_variant_without_its_weights_says_so_and_others_nothing(
    cut_off: Path, group: str, name: str
) -> None:
    options = getattr(CONFIG, group)[name]
    needs = options.uses_card and not name.startswith("sam_tiny")
    assert len(told(options)) == int(needs)


@pytest.mark.parametrize(("group", "name"), VALUES, ids=[name for _, name in VALUES])
def test_what_is_told_is_what_would_happen(
    cut_off: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str
) -> None:
    """Without network no model of what is told to be missing can be built, and the error is for people."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError):
        BUILD[group](read_kind(GROUPS[group], {"type": name, **VALUES[group, name]}))


def test_a_missing_file_is_told_with_its_address_and_its_place(cut_off: Path) -> None:
    jobs = [("masks", {"segmenter": "sam_vit_h"}), ("features", {"extractor": "dinov2_vits14"})]
    extractor, segmenter = network_problems(CONFIG, [*jobs, ("weights", {"weights": "sam_vit_h_4b8939.pth"})])
    assert segmenter.startswith("segmenters.sam_vit_h.checkpoint: weights/sam_vit_h_4b8939.pth is not there")
    assert CHECKPOINTS["vit_h"].url in segmenter and str(cut_off / "weights/sam_vit_h_4b8939.pth") in segmenter
    assert extractor.startswith("extractors.dinov2_vits14.model: the weight file of vit_small_patch14_dinov2.lvd142m")
    assert "https://huggingface.co/timm/vit_small_patch14_dinov2.lvd142m/resolve/main/model.safetensors" in extractor
    assert "under `checkpoint`" in extractor


def test_a_weight_file_that_was_asked_for_by_its_name_is_told_too(cut_off: Path) -> None:
    (problem,) = network_problems(CONFIG, [("weights", {"weights": "sam_hq_vit_b.pth"})])
    assert problem.startswith("weights/sam_hq_vit_b.pth is not there") and "sha256" not in problem


def test_part_whole_hierarchies_name_the_teacher_and_the_embedder(cut_off: Path) -> None:
    jobs = [("parts_masks", {"image": "a"}), ("parts_targets", {"image": "a"})]
    teacher, embedder = network_problems(CONFIG, jobs)
    assert teacher.startswith("segmenters.sam_vit_h.checkpoint: ")
    assert embedder.startswith("parts.embedder.model: ") and "maxvit_rmlp_pico_rw_256.sw_in1k" in embedder


def test_local_files_of_part_whole_hierarchies_that_are_not_there_are_told(cut_off: Path) -> None:
    parts = {"teacher": {"segmenter": "merge_tree"}, "embedder": {"checkpoint": "e.pth"}, "training": {"start": "s.pt"}}
    embedder, start = part_problems(load_config({"parts": parts}))
    assert embedder.startswith("parts.embedder.checkpoint: e.pth is not there")
    assert start.startswith("parts.training.start: s.pt is not there")


@pytest.mark.parametrize(
    ("student", "problems"),
    [
        ({}, ["parts.student.dim: must be 64, the width of the teacher's embeddings, not 256"]),
        ({"encoder_dim": 32}, ["parts.student.encoder_dim: must be 64"]),
        ({"dim": 64}, []),
        ({"encoder_dim": 64}, []),
    ],
)
def test_a_student_of_another_width_than_the_embedder_is_told_before_hours_of_teaching(
    cut_off: Path, student: dict[str, int], problems: list[str]
) -> None:
    embedder = {"model": "test_convnext.r160_in1k", "random_seed": 0}
    told = part_problems(
        load_config({"parts": {"teacher": {"segmenter": "merge_tree"}, "embedder": embedder, "student": student}})
    )
    assert len(told) == len(problems)
    assert all(one.startswith(expected) for one, expected in zip(told, problems, strict=True))


def test_files_that_are_there_need_no_network(cut_off: Path) -> None:
    jobs = [("masks", {"segmenter": "sam_vit_h"}), ("features", {"extractor": "dinov2_vits14"})]
    (cut_off / "weights").mkdir()
    (cut_off / "weights/sam_vit_h_4b8939.pth").touch()
    snapshot = cut_off / "hub/models--timm--vit_small_patch14_dinov2.lvd142m/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").touch()
    assert len(list(network_problems(CONFIG, jobs))) == 1  # a download that broke off has no weights
    (snapshot / "model.safetensors").touch()
    assert not list(network_problems(CONFIG, jobs))


def test_a_default_tag_of_timm_is_looked_for_under_its_own_name(cut_off: Path) -> None:
    weights = timm_model("resnet50")["weights"]
    assert weights is not None and weights["repo"] == "timm/resnet50.a1_in1k"
    assert timm_model("beit3_giant_patch14_224") == {"problem": None, "weights": None}


def test_a_file_from_an_address_lies_where_the_library_keeps_it(cut_off: Path) -> None:
    of_torch = Fetched(url="https://example.org/a/b.pth?download=1")
    assert not of_torch.is_here() and of_torch.address == "https://example.org/a/b.pth?download=1"
    (cut_off / "torch/hub/checkpoints").mkdir(parents=True)
    (cut_off / "torch/hub/checkpoints/b.pth").touch()
    assert of_torch.is_here()
    assert not Fetched(url=of_torch.url, folder=str(cut_off)).is_here()


def test_offline_mode_counts_as_no_network(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "reachable", lambda url: True)
    config = load_config({"extractors": {"vit": {"type": "timm", "model": "test_vit"}}})
    assert not list(network_problems(config, [("features", {"extractor": "vit"})]))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (problem,) = network_problems(config, [("features", {"extractor": "vit"})])
    assert "HF_HUB_OFFLINE is set" in problem


def test_a_local_checkpoint_and_random_weights_need_no_network(cut_off: Path) -> None:
    for more in ({"checkpoint": "mine.pth"}, {"random_seed": 1}):
        config = load_config({"extractors": {"vit": {"type": "timm", "model": "test_vit", **more}}})
        assert not list(network_problems(config, [("features", {"extractor": "vit"})]))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"type": "transformers", "model": "no/such/folder"}, "model: no/such/folder is no folder, and no name on the"),
        ({"type": "transformers", "model": "."}, "model: the folder . has no config.json and no preprocessor_config"),
        (
            {"type": "words", "classes": ["a", "b"], "regions": "box", "model": "ViT-B-16-SigLIPP"},
            "model: open_clip has no model 'ViT-B-16-SigLIPP'; the nearest names are ViT-B-16-SigLIP",
        ),
        (
            {"type": "words", "classes": ["a", "b"], "regions": "box", "pretrained": "mine.pt"},
            "pretrained: open_clip has no weights 'mine.pt' of ViT-B-16-quickgelu; it has openai",
        ),
    ],
    ids=["no folder", "empty folder", "unknown model", "unknown weights"],
)
def test_names_that_no_library_knows_are_told_before_any_job(
    cut_off: Path, values: dict[str, Any], problem: str
) -> None:
    assert any(line.startswith(problem) for line in read_kind(LabelerKind, values).problems())


def test_a_host_is_looked_up_by_us_or_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    assert reachable("https://localhost/file")
    assert not reachable("https://no-such-host.invalid/file")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert reachable("https://no-such-host.invalid/file")


def test_progress_is_a_line_every_five_percent() -> None:
    lines: list[str] = []
    told = told_in_steps(lines.append)
    for there in range(0, 2_500_000_001, 1_000_000):
        told(there, 2_500_000_000)
    assert len(lines) == 21
    assert (lines[1], lines[-1]) == ("125 MB of 2500 MB (5%)", "2500 MB of 2500 MB (100%)")
