"""Official checkpoints: file names, addresses and, where it is known for certain, their sha256.

The hexadecimal suffix in segment-anything's file names (sam_vit_h_4b8939.pth) is not the start of the sha256; the full
hashes here are those that several independent projects publish for the same address. None is known for HQ-SAM.
"""

from dataclasses import dataclass
from pathlib import Path

# Megabytes, somewhat more than four bytes for each of a network's parameters: no file of it is larger.
_AT_MOST = {"vit_b": 400, "vit_l": 1300, "vit_h": 2700, "vit_tiny": 60, "mobile_sam": 60}


@dataclass(frozen=True)
class Checkpoint:
    """One published weights file; sha256 is None where it could not be established."""

    model: str
    file_name: str
    url: str
    sha256: str | None

    @property
    def max_bytes(self) -> int:
        """What the file cannot exceed: a download that does is not it."""
        return _AT_MOST[self.model.removeprefix("hq_")] * 10**6


_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"
# A commit, not a branch, so that the file behind the address stays the same.
_MOBILE = "https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/"
_HQ = "https://huggingface.co/lkeab/hq-sam/resolve/main/"

CHECKPOINTS = {
    checkpoint.model: checkpoint
    for checkpoint in (
        Checkpoint(
            "vit_b",
            "sam_vit_b_01ec64.pth",
            _SAM + "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        ),
        Checkpoint(
            "vit_l",
            "sam_vit_l_0b3195.pth",
            _SAM + "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        ),
        Checkpoint(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            _SAM + "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        ),
        Checkpoint(
            "mobile_sam",
            "mobile_sam.pt",
            _MOBILE + "mobile_sam.pt",
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        ),
        *(
            Checkpoint(f"hq_{name}", f"sam_hq_{name}.pth", f"{_HQ}sam_hq_{name}.pth", None)
            for name in ("vit_b", "vit_l", "vit_h", "vit_tiny")
        ),
    )
}


_SEEM = "https://huggingface.co/xdecoder/SEEM/resolve/main/"
LABELERS = {
    name: Checkpoint(name, f"seem_focall_{name.removeprefix('seem_')}.pt", f"{_SEEM}seem_focall_{name[-2:]}.pt", None)
    for name in ("seem_v0", "seem_v1")
}
"""Those of labelers, as SEEM's README names them; what the two versions are: docs/semantics.md."""

PUBLISHED = {checkpoint.file_name: checkpoint for checkpoint in (*CHECKPOINTS.values(), *LABELERS.values())}
"""All by file name."""

EMBEDDED = Path(__file__).parents[1] / "sam" / "sam_tiny.safetensors"
"""The weights of sam_tiny, which come with regionflow."""
