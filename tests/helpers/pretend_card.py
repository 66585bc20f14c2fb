"""A pretended CUDA card on a machine without one.

Inside `pretend()` tensors made or moved to "cuda" say that they are on cuda:0, are computed on the CPU, and refuse what
CUDA tensors refuse: operations together with CPU tensors (numbers of no dimension and indices into a card's tensor
apart), `.numpy()` and `np.asarray`. What makes the host wait for a card is counted by the line of regionflow (or of the
library) that asked: `Watch.waits`; so are copies to the card, `Watch.uploads`. A copy to the host with `non_blocking`
makes nobody wait, and has no values before an event that was recorded after it is waited for.

Training works too. It knows nothing of kernels that a real card lacks, of its rounding, nor of memory, but for what
`free_bytes` says, and `Watch.taken`: what one call of a model is said to have taken at its peak.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar
from unittest import mock

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

CARD = torch.device("cuda", 0)

# Results that depend on a tensor's values: Python needs them now, so the host waits for the card.
_WAITING = {
    *("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__contains__", "is_nonzero", "equal"),
    *("allclose", "nonzero", "argwhere", "masked_select", "unique", "_unique2", "unique_consecutive", "bincount"),
}
_INDEXING = {"__getitem__", "__setitem__", "index_put", "index_put_"}
_OF_AUTOGRAD = {"grad", "is_leaf", "requires_grad", "grad_fn", "retains_grad"}
_OF_THE_TENSOR = {"__get__", "__set__", "__delete__", "__deepcopy__", "requires_grad_", "backward"}
_NUMPY = {"numpy", "__array__", "__dlpack__"}


class MixedDevices(RuntimeError):
    """An operation on tensors of the card and of the CPU."""


class CardTensor(torch.Tensor):
    """A tensor on the pretended card. `watches` holds the one watch while there is a card."""

    watches: ClassVar[list["Watch"]] = []

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if not cls.watches:
            raise AssertionError("a tensor of the pretended card is used after pretend() has ended")
        return cls.watches[-1].call(func, args, kwargs or {})


@dataclass
class Watch:
    """What was counted, by "file:line function"."""

    waits: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    on_their_way: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    """Tensors of the host that have no values yet, and those whose values they will have."""

    def call(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Run a function of torch as a card would."""
        name = getattr(func, "__name__", str(func))
        if name in _OF_THE_TENSOR:
            return self._of_the_tensor(func, name, args, kwargs)
        if name in ("to", "cuda", "cpu") and args and isinstance(args[0], torch.Tensor):
            return self._move(name, args, kwargs)
        if kwargs.get("device") is not None:
            return self._make(func, name, args, kwargs)
        used = _tensors((args, kwargs))
        if not any(isinstance(x, CardTensor) for x in used):
            return _run(func, args, kwargs)
        self._refuse(name, args, used)
        self._count(name, args, kwargs)
        return _map(_to_card, _run(func, _map(_to_cpu, args), _map(_to_cpu, kwargs)))

    def _of_the_tensor(self, func: Callable, name: str, args: tuple, kwargs: dict) -> Any:
        """What is asked of or done to a tensor itself: one that shares its memory has another device and is no leaf."""
        x, on_card = args[0], isinstance(args[0], CardTensor)
        attribute = getattr(getattr(func, "__self__", None), "__name__", "")
        if name == "__get__" and attribute in ("device", "is_cuda", "is_cpu"):
            return {"device": CARD if on_card else torch.device("cpu"), "is_cuda": on_card}.get(attribute, not on_card)
        if name == "__deepcopy__" and on_card:
            copied = _to_card(_run(torch.Tensor.clone, (_run(torch.Tensor.detach, (x,), {}),), {}))
            args[1][id(x)] = _run(torch.Tensor.requires_grad_, (copied, x.requires_grad), {})
            return args[1][id(x)]
        if name == "__get__" and attribute not in _OF_AUTOGRAD:
            made = _run(func, _map(_to_cpu, args), kwargs)
        else:
            made = _run(func, args, kwargs)
        return _map(_to_card, made) if on_card and name == "__get__" else made

    def _move(self, name: str, args: tuple, kwargs: dict) -> torch.Tensor:
        x, rest = args[0], [*args[1:], *kwargs.values()]
        to_card = isinstance(x, CardTensor)
        dtype = kwargs.get("dtype")
        for value in rest:
            if isinstance(value, torch.Tensor):
                to_card, dtype = isinstance(value, CardTensor), value.dtype
            elif isinstance(value, torch.dtype):
                dtype = value
            elif isinstance(value, (str, torch.device)):
                to_card = torch.device(value).type == "cuda"
        to_card = {"cuda": True, "cpu": False}.get(name, to_card)
        moved = _run(torch.Tensor.to, (_to_cpu(x),), {"dtype": dtype or _run(torch.Tensor.dtype.__get__, (x,), {})})
        if isinstance(x, CardTensor) == to_card:
            return _to_card(moved) if to_card else moved
        if not to_card and kwargs.get("non_blocking"):
            copy = _run(torch.full_like, (moved, -1e9 if moved.is_floating_point() else 0), {})
            self.on_their_way.append((copy, moved))
            return copy
        (self.uploads if to_card else self.waits)[_where(name)] += 1
        copied = _run(torch.Tensor.clone, (moved,), {})
        return _to_card(copied) if to_card else copied

    def _make(self, func: Callable, name: str, args: tuple, kwargs: dict) -> Any:
        to_card = torch.device(kwargs["device"]).type == "cuda"
        if to_card and name in ("tensor", "as_tensor", "asarray"):
            self.uploads[_where(name)] += 1
        rest = {key: value for key, value in kwargs.items() if key != "device"}
        made = _run(func, _map(_to_cpu, args), _map(_to_cpu, rest))
        return _map(_to_card, made) if to_card else made

    def _refuse(self, name: str, args: tuple, used: list[torch.Tensor]) -> None:
        if name in _NUMPY:
            raise TypeError(f"can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() ({_where(name)})")
        if name in _INDEXING:
            if not isinstance(args[0], CardTensor):
                raise MixedDevices(f"indices on the card into a tensor of the CPU ({_where(name)})")
            return
        if name == "copy_":
            return
        on_cpu = [x for x in used if not isinstance(x, CardTensor) and _run(torch.Tensor.dim, (x,), {}) > 0]
        if on_cpu:
            shapes = [tuple(_run(torch.Tensor.size, (x,), {})) for x in on_cpu]
            raise MixedDevices(f"tensors of the card and of the CPU {shapes} in one operation ({_where(name)})")

    def _count(self, name: str, args: tuple, kwargs: dict) -> None:
        if name == "copy_":
            if isinstance(args[0], CardTensor) != isinstance(args[1], CardTensor):
                (self.uploads if isinstance(args[0], CardTensor) else self.waits)[_where(name)] += 1
        elif name in _INDEXING:
            for index in _tensors(args[1]):
                if _run(torch.Tensor.dtype.__get__, (index,), {}) in (torch.bool, torch.uint8):
                    self.waits[_where("boolean index")] += 1
                elif not isinstance(index, CardTensor) and _run(torch.Tensor.dim, (index,), {}) > 0:
                    self.uploads[_where("index")] += 1
        elif (
            name in _WAITING
            or (name == "where" and len(args) == 1)
            or (name == "repeat_interleave" and "output_size" not in kwargs and isinstance(args[-1], CardTensor))
        ):
            self.waits[_where(name)] += 1


class Event:
    """As torch.cuda.Event: what was given to the card before it was recorded is done when it has been waited for."""

    def record(self) -> None:
        """From here on."""
        watch = CardTensor.watches[-1]
        self._before, watch.on_their_way = watch.on_their_way, []

    def synchronize(self) -> None:
        """Wait."""
        CardTensor.watches[-1].waits[_where("synchronize")] += 1
        with torch.inference_mode():  # the tensors may have been made within it
            for copy, values in self._before:
                _run(torch.Tensor.copy_, (copy, values), {})
        self._before = []


class _Everywhere(TorchFunctionMode):
    """Sends also functions without a tensor, such as torch.zeros(device="cuda"), to the watch."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return CardTensor.watches[-1].call(func, args, kwargs or {})


@contextlib.contextmanager
def pretend(free_bytes: int = 60 << 30) -> Iterator[Watch]:
    """A machine with one card, of which `free_bytes` of memory are free."""
    autocast, to = torch.autocast.__init__, nn.Module.to

    def on_cpu(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        autocast(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    def move(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        devices = [x for x in (*args, *kwargs.values()) if isinstance(x, (str, torch.device))]
        rest = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.dtype)]
        module = to(self, *rest) if rest else self
        return put_on_card(module) if any(torch.device(x).type == "cuda" for x in devices) else module

    watch = Watch()
    patches = (
        mock.patch.object(torch.cuda, "mem_get_info", lambda device=None: (free_bytes, 80 << 30)),
        mock.patch.object(torch.cuda, "memory_reserved", lambda device=None: 0),
        mock.patch.object(torch.cuda, "memory_allocated", lambda device=None: 0),
        mock.patch.object(torch.cuda, "reset_peak_memory_stats", lambda device=None: None),
        mock.patch.object(torch.cuda, "max_memory_allocated", lambda device=None: watch.taken),
        mock.patch.object(torch.cuda, "Event", Event),
        mock.patch.object(torch.cuda, "is_available", lambda: True),
        mock.patch.object(torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda self: None),
        mock.patch.object(torch.autocast, "__init__", on_cpu),
        mock.patch.object(nn.Module, "to", move),
    )
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        CardTensor.watches.append(watch)
        stack.callback(CardTensor.watches.pop)
        stack.enter_context(_Everywhere())
        yield watch


def put_on_card(module: nn.Module) -> nn.Module:
    """As module.to("cuda"): parameters and buffers move; tensors that are plain attributes stay, as in torch."""
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = _to_card(tensor.detach()).requires_grad_(tensor.requires_grad)
    return module


def _run(func: Callable, args: tuple, kwargs: dict) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def _to_card(x: torch.Tensor) -> torch.Tensor:
    if isinstance(x, CardTensor):
        return x
    with torch._C.DisableTorchFunctionSubclass():
        return x.as_subclass(CardTensor)


def _to_cpu(x: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return x.as_subclass(torch.Tensor)


def _map(function: Callable[[torch.Tensor], torch.Tensor], x: Any) -> Any:
    """The same structure, the function applied to its tensors."""
    if isinstance(x, torch.Tensor):
        return function(x)
    if isinstance(x, tuple) and type(x) is not tuple and not hasattr(x, "_fields"):  # torch.return_types.*
        return type(x)([_map(function, y) for y in x])
    if isinstance(x, tuple):
        mapped = [_map(function, y) for y in x]
        return type(x)(*mapped) if hasattr(x, "_fields") else tuple(mapped)
    if isinstance(x, list):
        return [_map(function, y) for y in x]
    return {key: _map(function, y) for key, y in x.items()} if isinstance(x, dict) else x


def _tensors(x: Any) -> list[torch.Tensor]:
    if isinstance(x, torch.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [tensor for y in x for tensor in _tensors(y)] if isinstance(x, (tuple, list)) else []


def _where(name: str) -> str:
    """The innermost line of regionflow, else of a library, that is running."""
    library = "?"
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if "/regionflow/" in path:
            return f"{path.split('/regionflow/', 1)[1]}:{frame.f_lineno} {name}"
        if library == "?" and "site-packages/" in path and "/site-packages/torch/" not in path:
            library = f"{path.split('site-packages/')[-1]}:{frame.f_lineno} {name}"
        frame = frame.f_back
    return library
