"""Build a SAM from a weights file: segment-anything's own modules in the dimensions that the file shows."""

from functools import partial
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from regionflow.sam.architecture import (
    MODELS,
    PUBLISHED_HEADS,
    Decoder,
    NotSamError,
    SamArchitecture,
    VitEncoder,
    identify,
)
from regionflow.weights.checkpoint import CheckpointError, load_state_dict, what_does_not_fit


def build_sam(model: str, checkpoint: Path, device: str = "cpu") -> Sam:
    """Load a SAM in eval mode, with image_encoder, prompt_encoder and mask_decoder as in segment-anything.

    Args:
        model: vit_b, vit_l, vit_h, mobile_sam, hq_vit_b, hq_vit_l, hq_vit_h, hq_vit_tiny, sam_tiny, or "auto" for
            whatever SAM the file holds, of any size. A named model refuses weights of another.
        checkpoint: .pth, .pt or .safetensors file in the official key layout.
        device: where the model goes.

    Raises:
        CheckpointError: the file is not a checkpoint, or of another model than asked for.
        ValueError: there is no such model.
    """
    if model not in (*MODELS, "auto"):
        raise ValueError(f"unknown SAM model {model!r}; choose one of {', '.join(MODELS)}, auto")
    state = load_state_dict(checkpoint)
    try:
        architecture = identify(state)
    except NotSamError as error:
        raise CheckpointError(f"{checkpoint} holds {error}. Give the weights of {model}.") from None
    if model not in ("auto", architecture.model):
        raise CheckpointError(
            f"{checkpoint} holds {architecture.describe()}, not {model}. Change the model or the file."
        )
    sam = _empty_sam(architecture)
    try:
        sam.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        wrong = what_does_not_fit(error)
        raise CheckpointError(f"{checkpoint} is not complete as {architecture.describe()}: {wrong}") from None
    # assign=True keeps the file's types; eval() comes last because TinyViT then copies its attention biases.
    return sam.float().requires_grad_(False).to(device).eval()


def _empty_sam(architecture: SamArchitecture) -> Sam:
    """The network; tensors that the weights will replace take no memory where that is possible."""
    if architecture.encoder == "sam_tiny":
        from regionflow.sam.tiny import sam_tiny

        return sam_tiny()
    decoder = architecture.decoder
    if architecture.encoder == "tiny_vit":
        encoder = _tiny_vit_encoder(architecture.hq)
        image_size, grid, vit_dim = 1024, 64, 160
    else:
        with torch.device("meta"):
            encoder = _vit_encoder(architecture.encoder, architecture.hq)
        image_size, vit_dim = architecture.encoder.image_size, architecture.encoder.embed_dim
        grid = image_size // architecture.encoder.patch_size
    prompt_encoder = PromptEncoder(
        embed_dim=decoder.dim,
        image_embedding_size=(grid, grid),
        input_image_size=(image_size, image_size),
        mask_in_chans=decoder.mask_channels,
    )
    if not architecture.hq:
        return Sam(encoder, prompt_encoder, MaskDecoder(**_decoder_arguments(decoder)))
    from regionflow.sam import hq as tiny_vit

    hq_decoder = tiny_vit.MaskDecoderHQ(**_decoder_arguments(decoder), vit_dim=vit_dim)
    return tiny_vit.Sam(encoder, prompt_encoder, hq_decoder)


def _vit_encoder(e: VitEncoder, hq: bool) -> nn.Module:
    if hq:
        from regionflow.sam import hq as tiny_vit

        encoder_class = tiny_vit.ImageEncoderViT
    else:
        encoder_class = ImageEncoderViT
    return encoder_class(
        img_size=e.image_size,
        patch_size=e.patch_size,
        embed_dim=e.embed_dim,
        depth=e.depth,
        num_heads=e.heads,
        mlp_ratio=e.mlp_ratio,
        out_chans=e.out_channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=e.window_size,
        global_attn_indexes=e.global_blocks,
    )


def _tiny_vit_encoder(hq: bool) -> nn.Module:
    """TinyViT-5M at 1024 px with MobileSAM's settings (which Light HQ-SAM shares)."""
    from regionflow.sam import hq as tiny_vit

    return (tiny_vit.TinyViT if hq else tiny_vit.MobileEncoder)(
        img_size=1024,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        drop_path_rate=0.0,
    )


def _decoder_arguments(d: Decoder) -> dict:
    return {
        "num_multimask_outputs": d.multimask_outputs,
        "transformer": TwoWayTransformer(
            depth=d.depth,
            embedding_dim=d.dim,
            num_heads=PUBLISHED_HEADS,
            mlp_dim=d.mlp_dim,
            attention_downsample_rate=d.downsample_rate,
        ),
        "transformer_dim": d.dim,
        "iou_head_depth": d.iou_depth,
        "iou_head_hidden_dim": d.iou_hidden,
    }
