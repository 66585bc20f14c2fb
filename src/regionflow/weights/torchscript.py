"""The tensors of a TorchScript archive, such as OpenAI's CLIP files, read without its code.

`torch.jit.load` compiles the code in the archive and may run parts of it; torch.load refuses such files when it is to
load weights only. The tensors lie in `data/`, and `data.pkl` says which module holds which. It is unpickled here with
nothing but inert stand-ins: modules that only keep their attributes, and tensors made from the stored bytes.
"""

import pickle
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_TYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
}

_LISTS = ("int", "double", "bool", "tensor")


def is_torchscript(path: Path) -> bool:
    """Whether a zip file is a TorchScript archive: it has what torch itself looks for, the constants of the code."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers by name, on the CPU; what `torch.jit.load(path).state_dict()` would give.

    Raises pickle.UnpicklingError if the archive asks for anything else than modules and tensors; nothing of it is run.
    Raises RuntimeError, KeyError, ValueError or zipfile.BadZipFile if it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).removesuffix(
            "constants.pkl"
        )
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        unpickler = _Inert(archive, root)
        module = unpickler.load()
        if not isinstance(module, unpickler.stand_in):
            raise ValueError("it holds no module")
        return dict(_tensors(module, ""))


class _Inert(pickle.Unpickler):
    """Unpickles modules and tensors; each archive gets stand-ins of its own, so none can change another's."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(BytesIO(archive.read(f"{root}data.pkl")))
        self._archive, self._root = archive, root
        self.stand_in = type("Module", (), {})
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return self.stand_in
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        known: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": dict,
            # torch refuses a view that reaches beyond the stored values.
            "torch._utils._rebuild_tensor_v2": lambda values, offset, shape, strides, *_: values.as_strided(
                shape, strides, offset
            ),
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            "torch.jit._pickle.restore_type_tag": lambda value, _: value,
            **{f"torch.jit._pickle.build_{kind}list": lambda values: values for kind in _LISTS},
        }
        if f"{module}.{name}" not in known:
            raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Tensor:
        """A storage, as a tensor [N] of its type."""
        _, dtype, key, _, _ = pid
        if key not in self._storages:
            # Writable memory of its own, which the tensor keeps alive.
            data = bytearray(self._archive.read(f"{self._root}data/{key}"))
            self._storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self._storages[key]


def _tensors(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif type(value) is type(module):
            yield from _tensors(value, f"{prefix}{name}.")
