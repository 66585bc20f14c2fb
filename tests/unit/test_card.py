"""What runs on a card, on a pretended one: no mixing of devices, few waits, the masks and features of the CPU."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from helpers.pretend_card import CardTensor, MixedDevices, pretend, put_on_card
from helpers.small_sam import LOW_THRESHOLDS, embedded_preset, save_small_sam
from regionflow.base.kinds import read_kind
from regionflow.base.later import OnCard, at_once
from regionflow.features.errors import ExtractorError
from regionflow.features.kinds import ExtractorOptions, extractor
from regionflow.masks.kinds import segmenter
from regionflow.masks.options import SamOptions
from regionflow.parts.options import EmbedderOptions, TeacherOptions
from regionflow.parts.targets import Embedder
from regionflow.parts.teacher import SamTeacher
from regionflow.sam import decoder, encoder
from regionflow.sam.architecture import PUBLISHED_DECODER, PUBLISHED_ENCODERS, SamArchitecture
from regionflow.sam.build import _empty_sam, build_sam
from regionflow.sam.generator import generate
from regionflow.sam.options import AmgOptions
from regionflow.weights.published import EMBEDDED

IMAGE: NDArray[np.uint8] = cv2.resize(skimage.data.rocket(), (192, 128))
# For 1,024 points and one image; the reference waits some thousand times.
MOST_WAITS = 12


def test_what_a_card_refuses_is_refused() -> None:
    with pretend() as watch:
        x = torch.zeros(2, 3, device="cuda")
        assert x.device.type == "cuda" and x.is_cuda
        for wrong in (
            lambda: x + torch.ones(2, 3),
            x.numpy,
            lambda: np.asarray(x),
            lambda: torch.cat([x, torch.ones(2, 3)]),
            lambda: torch.ones(4)[torch.tensor([1], device="cuda")],
            lambda: nn.functional.linear(x, torch.ones(4, 3)),
            lambda: torch.ones(2, 3).add_(x),
        ):
            with pytest.raises((MixedDevices, TypeError)):
                wrong()
        assert not watch.waits
        assert (x + torch.tensor(1.0)).sum().item() == 6 and isinstance((x @ x.T)[0], CardTensor)
        assert x[torch.zeros(2, dtype=torch.bool)].shape == (0, 3) and x.cpu().numpy().shape == (2, 3)
        assert sum(watch.waits.values()) == 3


@pytest.fixture(scope="module")
def sams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[nn.Module, dict]]:
    folder: Path = tmp_path_factory.mktemp("weights")
    small = {**LOW_THRESHOLDS, "points_per_side": 8}
    return {
        "sam_tiny": (build_sam("sam_tiny", EMBEDDED), {**embedded_preset(), "points_per_side": 8}),
        "sam": (build_sam("auto", save_small_sam(folder / "small.pth")), small),
        "hq": (build_sam("auto", save_small_sam(folder / "hq.pth", hq=True)), small),
    }


ON_A_CARD: list[tuple[str, dict[str, Any], int]] = [
    ("sam_tiny", {}, 4),
    ("sam", {"points_per_side": 32}, MOST_WAITS),
    ("hq", {"points_per_side": 32}, MOST_WAITS),
    ("sam", {"points_per_side": 32, "skip_covered_iou": 0.6}, MOST_WAITS),
    ("sam", {"points_per_side": 32, "only_connected": True}, MOST_WAITS),
    ("sam_tiny", {"crop_n_layers": 1, "points_per_side": 4}, 5 * 4),
    ("sam_tiny", {"skip_covered_iou": 0.6, "only_connected": True, "crop_n_layers": 1}, 5 * 5),
    ("sam_tiny", {"min_mask_region_area": 60, "mask_nms_thresh": 0.8, "containment_nms_thresh": 0.9}, 4),
    ("sam_tiny", {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}, 4),
    ("sam_tiny", {"pred_iou_thresh": 2.0}, 1),
    (
        "sam_tiny",
        {
            "points_per_side": None,
            "point_grids": [[[x / 8, y / 8] for x in range(1, 8) for y in range(1, 8)], [[0.5, 0.5]]],
            "crop_n_layers": 1,
            "crop_overlap_ratio": 0.2,
            "crop_nms_thresh": 0.5,
        },
        5 * 4,
    ),
    ("sam_tiny", {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2, "points_per_side": 4}, 5 * 4),
    ("sam_tiny", {"box_nms_thresh": 0.5, "stability_score_offset": 0.5}, 4),
]


def test_every_option_of_the_generator_is_tried_on_a_card() -> None:
    tried = {option for _, more, _ in ON_A_CARD for option in more}
    assert tried | {"precision"} == set(AmgOptions.model_fields)  # precision: a test of its own


@pytest.mark.parametrize(
    ("name", "more", "most_waits"),
    ON_A_CARD,
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else str(value),
)
def test_masks_on_a_card(sams: dict, name: str, more: dict, most_waits: int) -> None:
    """The CPU's masks, whatever the option, and a bound on how often the host waits for the card."""
    sam, options = sams[name]
    amg = AmgOptions(**{**options, **more})
    expected = generate(sam, IMAGE, amg)
    with pretend() as watch:
        masks = generate(put_on_card(copy.deepcopy(sam)), IMAGE, amg)
    assert sum(watch.waits.values()) <= most_waits, watch.waits
    assert [a["point_coords"] for a in masks] == [a["point_coords"] for a in expected]
    assert sum(a["segmentation"] == b["segmentation"] for a, b in zip(masks, expected, strict=True)) >= 0.97 * len(
        masks
    )
    assert masks or more == {"pred_iou_thresh": 2.0}


def test_bfloat16_on_a_card(sams: dict) -> None:
    sam, options = sams["sam_tiny"]
    with pretend() as watch:
        assert generate(put_on_card(copy.deepcopy(sam)), IMAGE, AmgOptions(**options, precision="bf16"))
    assert sum(watch.waits.values()) <= 4


def test_a_small_card_changes_no_mask(sams: dict) -> None:
    """With 40 MB free, points and masks go through it in small parts."""
    sam, options = sams["sam_tiny"]
    expected = generate(sam, IMAGE, AmgOptions(**options))
    with pretend(free_bytes=40 << 20) as watch:
        masks = generate(put_on_card(copy.deepcopy(sam)), IMAGE, AmgOptions(**options))
    assert [a["point_coords"] for a in masks] == [a["point_coords"] for a in expected]
    assert sum(watch.waits.values()) > 12


@pytest.mark.parametrize("together", [1, 7, 40, 512])
def test_how_many_points_a_card_answers_at_once_changes_nothing(
    sams: dict, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies under a mask of an earlier wave is left out, also where it was answered together with that wave."""
    from regionflow.sam import prompting

    sam, options = sams["sam_tiny"]
    amg = AmgOptions(**{**options, "points_per_side": 12, "skip_covered_iou": 0.6})
    expected = generate(sam, IMAGE, amg)
    original = prompting.Prompter.__init__

    def with_together(self: Any, *args: Any) -> None:
        original(self, *args)
        self.together = together

    monkeypatch.setattr(prompting.Prompter, "__init__", with_together)
    masks = generate(sam, IMAGE, amg)
    assert [a["point_coords"] for a in masks] == [a["point_coords"] for a in expected]
    assert [a["segmentation"] for a in masks] == [a["segmentation"] for a in expected]


@pytest.mark.parametrize(
    "values",
    [
        {"type": "timm", "model": "test_vit", "random_seed": 0},
        {"type": "timm", "model": "test_vit", "random_seed": 0, "dtype": "bf16"},
        {"type": "timm", "model": "convnext_atto", "random_seed": 0, "norm": False},
        {"type": "timm", "model": "test_vit", "random_seed": 0, "layers": [1, -1], "geometry": "square", "size": 64},
        {"type": "timm", "model": "vit_xsmall_patch16_clip_224", "random_seed": 0, "value_path": True},
        {"type": "sam_encoder", "model": "sam_tiny"},
    ],
    ids=["vit", "vit, bf16", "convnext", "layers", "value_path", "sam_encoder"],
)
def test_features_on_a_card(values: dict) -> None:
    options = read_kind(ExtractorOptions, values)
    expected = extractor(options).extract(IMAGE)
    with pretend() as watch:
        features = extractor(options, "cuda").extract(IMAGE)
    assert sum(watch.waits.values()) == 1
    np.testing.assert_allclose(features.features, expected.features, atol=1e-5 if "dtype" not in values else 0.1)


@pytest.mark.parametrize("name", ["vit_b", "vit_h"])
@pytest.mark.parametrize("hq", [False, True], ids=["sam", "hq"])
def test_everything_of_a_full_size_sam_stays_on_the_card(name: str, hq: bool) -> None:
    """Encoder, decoder and mask logits at published sizes with tensors that have devices and shapes but no values."""
    sam = _empty_sam(SamArchitecture(PUBLISHED_ENCODERS[name], PUBLISHED_DECODER, hq)).requires_grad_(False).eval()
    with FakeTensorMode(), torch.no_grad():
        for module in sam.modules():
            for tensors in (module._parameters, module._buffers):
                for key, tensor in tensors.items():
                    if tensor is not None:
                        tensors[key] = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
        embedding, early = encoder._encode(sam.image_encoder, torch.zeros(1, 3, 1024, 1024, device="cuda"))
        encoded = encoder.EncodedImage(embedding.float(), early, (1024, 1024), (1024, 1024))
        for dtype in (torch.float32, torch.bfloat16):
            prompts = decoder.ImageDecoder(sam, encoded, dtype).decode(torch.zeros(64, 2, device="cuda"))
            logits = prompts.mask_logits(torch.arange(8, device="cuda"))
            assert (logits.device.type, tuple(logits.shape)) == ("cuda", (8, 1 if hq else 3, 256, 256))


@pytest.mark.parametrize("hq", [False, True], ids=["mobile_sam", "hq_vit_tiny"])
def test_everything_of_a_tiny_vit_stays_on_the_card(hq: bool) -> None:
    """TinyViT copies its attention biases when it is set to eval mode: after it has moved."""
    sam = _empty_sam(SamArchitecture("tiny_vit", PUBLISHED_DECODER, hq)).requires_grad_(False)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        for module in sam.modules():
            for tensors in (module._parameters, module._buffers):
                for key, tensor in tensors.items():
                    if tensor is not None and tensor.is_floating_point():
                        tensors[key] = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
        embedding, early = encoder._encode(sam.eval().image_encoder, torch.zeros(2, 3, 1024, 1024, device="cuda"))
        assert (embedding.device.type, tuple(embedding.shape)) == ("cuda", (2, 256, 64, 64))
        assert not hq or (early is not None and early.device.type == "cuda" and len(early) == 2)


def test_part_masks_and_their_embeddings_on_a_card() -> None:
    square = cv2.resize(skimage.data.astronaut(), (96, 96))
    sam = SamOptions(model="sam_tiny")
    teacher = TeacherOptions(segmenter="sam_tiny", grid=6, prompt_label="as_published")
    embedder = EmbedderOptions(model="test_vit", random_seed=0)
    expected = SamTeacher(teacher, sam).masks(square)
    rows = Embedder(embedder).embed(square, expected.masks[:3])
    with pretend() as watch:
        masks = SamTeacher(teacher, sam, "cuda").masks(square)
        assert sum(watch.waits.values()) <= 4
        np.testing.assert_allclose(Embedder(embedder, "cuda").embed(square, expected.masks[:3]), rows, atol=1e-5)
    assert np.mean([a == b for a, b in zip(masks.masks, expected.masks, strict=True)]) >= 0.97


def _several() -> list[NDArray[np.uint8]]:
    """Five images of two sizes, out of order."""
    pictures = [np.roll(IMAGE, 7 * i, axis=1) for i in range(5)]
    return [picture[:96] if i in (1, 3) else picture for i, picture in enumerate(pictures)]


def _finished(begun: Sequence[OnCard[Any]]) -> list[Any]:
    return [on_card(at_once)() for on_card in begun]


@pytest.mark.parametrize(
    ("values", "batches"),
    [
        ({"type": "timm", "model": "test_vit", "random_seed": 0}, [1, 2, 2]),
        ({"type": "sam_encoder", "model": "sam_tiny"}, [1, 4]),
    ],
    ids=["timm", "sam_encoder"],
)
def test_several_images_at_once_have_the_features_of_each_alone(values: dict, batches: list[int]) -> None:
    options = read_kind(ExtractorOptions, values)
    images = _several()
    on_cpu = extractor(options)
    expected = [on_cpu.extract(image) for image in images]
    for made, alone in zip(_finished(on_cpu.begin(images)), expected, strict=True):
        assert np.array_equal(made.features, alone.features)  # to the bit: one by one
        assert made.geometry == alone.geometry
    with pretend() as watch:
        on_card = extractor(options, "cuda")
        sizes = _record_batches(on_card)
        begun = on_card.begin(images)
        assert not watch.waits  # the host reads other images while the card works
        made = _finished(begun)
        assert sum(watch.waits.values()) == 5
    assert sizes == batches
    for together, alone in zip(made, expected, strict=True):
        np.testing.assert_allclose(together.features, alone.features, rtol=1e-4, atol=1e-5)


def test_where_memory_does_not_suffice_half_as_many_images_go_together() -> None:
    options = read_kind(ExtractorOptions, {"type": "timm", "model": "test_vit", "random_seed": 0})
    images = [np.roll(IMAGE, i, axis=0) for i in range(8)]
    expected = [extractor(options).extract(image).features for image in images]
    with pretend():
        on_card = extractor(options, "cuda")
        batches = _record_batches(on_card, most=3)
        made = [one.features for one in _finished(on_card.begin(images))]
        again = len(batches)
        on_card.begin(images)
    assert batches[:again] == [1, 7, 7, 3, 3, 1]  # once more with an emptied cache before it is halved
    assert batches[again:] == [3, 3, 2]  # and that is remembered
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_so_many_images_go_together_as_the_first_one_shows_that_there_is_room_for() -> None:
    options = read_kind(ExtractorOptions, {"type": "sam_encoder", "model": "sam_tiny"})
    with pretend(free_bytes=10 << 30) as watch:
        watch.taken = 1 << 30
        on_card = extractor(options, "cuda")
        batches = _record_batches(on_card)
        on_card.begin([IMAGE] * 12)
    assert batches == [1, 5, 5, 1]  # half of the memory is for others


def test_one_image_for_which_memory_does_not_suffice_is_told_what_to_change() -> None:
    options = read_kind(ExtractorOptions, {"type": "timm", "model": "test_vit", "random_seed": 0})
    with pretend():
        on_card = extractor(options, "cuda")
        _record_batches(on_card, most=0)
        with pytest.raises(ExtractorError, match=r"out of memory.*smaller size") as raised:
            on_card.extract(IMAGE)
    assert raised.value.passing  # another try may find room


@pytest.mark.parametrize(
    ("more", "batches"),
    [({}, [1, 4]), ({"crop_n_layers": 1, "points_per_side": 4}, [1, 15, 9])],
    ids=["whole", "crops"],
)
def test_masks_of_several_images_are_those_of_each_alone(more: dict, batches: list[int]) -> None:
    """Their crops are encoded together; in the same order, on a CPU to the bit."""
    options = SamOptions(model="sam_tiny", **{"points_per_side": 8, **more})
    images = _several()
    on_cpu = segmenter(options)
    expected = [on_cpu.generate(image) for image in images]
    assert _finished(on_cpu.begin(images)) == expected
    with pretend() as watch:
        on_card = segmenter(options, "cuda")
        sizes = _record_batches(on_card)
        begun = on_card.begin(images)
        assert not watch.waits  # the first images are being encoded, and nobody waits
        made = _finished(begun)
    assert sizes == batches
    for together, alone in zip(made, expected, strict=True):
        assert [a["point_coords"] for a in together] == [a["point_coords"] for a in alone]
        same = sum(a["segmentation"] == b["segmentation"] for a, b in zip(together, alone, strict=True))
        assert same >= 0.97 * len(alone)


def test_rles_are_made_beside_the_card() -> None:
    """While it answers further points: work of the host goes to another thread, in order."""
    options = SamOptions(model="sam_tiny", points_per_side=8)
    with pretend() as watch, ThreadPoolExecutor(1) as pool:
        on_card = segmenter(options, "cuda", points_per_batch=16)
        expected = on_card.generate(IMAGE)
        done: list[Future[Any]] = []

        def beside(work: Callable[[], Any]) -> Callable[[], Any]:
            done.append(pool.submit(work))
            return done[-1].result

        before = sum(watch.waits.values())
        made = on_card.begin([IMAGE])[0](beside)
        assert len(done) == 4 + 2  # a batch each; its duplicates; the annotations
        waited = sum(watch.waits.values())
        assert made() == expected
        assert sum(watch.waits.values()) == waited > before  # what was left needs no card


def test_part_masks_and_embeddings_of_several_images_are_those_of_each_alone() -> None:
    squares = [
        np.ascontiguousarray(np.roll(cv2.resize(skimage.data.astronaut(), (96, 96)), 9 * i, 1)) for i in range(3)
    ]
    teacher, sam = TeacherOptions(segmenter="sam_tiny", grid=4), SamOptions(model="sam_tiny")
    embedder = EmbedderOptions(model="test_vit", random_seed=0)
    on_cpu, embeds = SamTeacher(teacher, sam), Embedder(embedder)
    expected = [on_cpu.masks(square) for square in squares]
    masks = [expected[0].masks[:9], [], expected[2].masks[:4]]
    rows = [embeds.embed(square, some) for square, some in zip(squares, masks, strict=True)]
    for made, alone in zip(_finished(on_cpu.begin(squares)), expected, strict=True):
        assert made.masks == alone.masks and np.array_equal(made.index, alone.index)
    for made, alone in zip(_finished(embeds.begin(squares, masks)), rows, strict=True):
        assert np.array_equal(made, alone)
    with pretend() as watch:
        on_card, embeds = SamTeacher(teacher, sam, "cuda"), Embedder(embedder, "cuda")
        sizes = _record_batches(on_card)
        teaching, embedding = on_card.begin(squares), embeds.begin(squares, masks)
        assert not watch.waits
        parts, embeddings = _finished(teaching), _finished(embedding)
    assert sizes == [1, 2]
    for made, alone in zip(parts, expected, strict=True):
        assert np.mean([a == b for a, b in zip(made.masks, alone.masks, strict=True)]) >= 0.97
    for made, alone in zip(embeddings, rows, strict=True):
        np.testing.assert_allclose(made, alone, atol=1e-5)


def _record_batches(kind: Any, most: int = 99) -> list[int]:
    """Sizes of the forward passes of an extractor, segmenter or teacher, on a card whose memory takes that many."""
    sizes: list[int] = []
    owner, name = (
        (kind._sam.image_encoder, "forward") if hasattr(kind, "_sam") else (kind._model, "forward_intermediates")
    )
    forward = getattr(owner, name)

    def limited(batch: torch.Tensor, **more: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(batch, **more)

    setattr(owner, name, limited)
    return sizes
