"""The stack under examination: any module in which layer after layer passes on a stream of shape (B, L, d).

Layers are watched by hooks, which fail closed; attention is read where its kernel is called, so that it needs no name.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ..errors import UsageError
from ..model.pipeline import Network
from ..model.trace import Trace
from .scores import ScoreReader, Scores

Forward = Callable[[nn.Module, Tensor, Tensor], Any]


@dataclass(frozen=True)
class Batch:
    """Token ids `(B, L)` or vectors `(B, L, d)`; the mask is True on real tokens; `labels` are class numbers.

    `special` marks tokens outside the text's order, such as [CLS]: they are never moved and never probed.
    """

    inputs: Shaped[Tensor, "B L *D"]
    mask: Bool[Tensor, "B L"]
    labels: Int[Tensor, "B"] | None = None
    special: Bool[Tensor, "B L"] | None = None

    @property
    def outside(self) -> Bool[Tensor, "B L"]:
        return torch.zeros_like(self.mask) if self.special is None else self.special & self.mask

    def with_inputs(self, inputs: Shaped[Tensor, "B L *D"]) -> "Batch":
        return Batch(inputs, self.mask, self.labels, self.special)


@dataclass
class Pass:
    """One forward: the stream before the first layer and after each, the answer, and each layer's scores."""

    streams: list[Float[Tensor, "B L D"]]
    answer: Float[Tensor, "B C"]
    scores: list[list[Scores]] = field(default_factory=list)


class Stack:
    """A module, its layers in order, and how it is called.

    *Raises*: UsageError where no stack of layers is found, or parameters are of a half type.
    """

    def __init__(
        self, module: nn.Module, example: Batch, layers: str | Sequence[str] = "auto", forward: Forward | None = None
    ):
        halves = {str(p.dtype) for p in module.parameters() if p.is_floating_point() and p.dtype.itemsize < 4}
        if halves:
            raise UsageError(
                f"parameters must be float32 or float64 to be measured, got {', '.join(sorted(halves))}",
                hint="module.float()",
            )
        self.module = module
        self._forward = forward or usual_forward(module)
        self.names = self._find(example) if layers == "auto" else self._named(layers)
        self.layers = [module.get_submodule(name) for name in self.names]

    def run(self, batch: Batch, *, scores: bool = False, keep_gradients: bool = False) -> Pass:
        """A forward in evaluation mode. With `keep_gradients` a backward leaves `.grad` on every stream.

        *Raises*: UsageError where a layer was not called, called twice, or passed on numbers that are not finite.
        """
        entered: list[Tensor] = []
        left: list[tuple[int, Tensor]] = []
        reader = ScoreReader(*batch.mask.shape)

        def before(number: int) -> Callable[..., None]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                reader.layer = number
                if number == 0:
                    entered.append(_watched(_stream((*args, *kwargs.values())), keep_gradients))

            return hook

        def after(number: int) -> Callable[..., None]:
            def hook(_: nn.Module, __: Any, ___: Any, output: Any) -> None:
                reader.layer = None
                left.append((number, _watched(_stream((output,)), keep_gradients)))

            return hook

        if keep_gradients and batch.inputs.is_floating_point():
            batch = batch.with_inputs(batch.inputs.detach().clone().requires_grad_())
        with measuring(self.module), ExitStack() as cleanup:
            for number, layer in enumerate(self.layers):
                cleanup.callback(layer.register_forward_pre_hook(before(number), with_kwargs=True).remove)
                cleanup.callback(layer.register_forward_hook(after(number), with_kwargs=True).remove)
            if scores:
                cleanup.enter_context(reader)
            cleanup.enter_context(torch.set_grad_enabled(keep_gradients))
            answer = self.answer(batch, traced=scores)
        if [number for number, _ in left] != list(range(len(self.layers))) or len(entered) != 1:
            called = [sum(number == layer for number, _ in left) for layer in range(len(self.layers))]
            raise UsageError(
                f"every layer must be called once a forward, in order, got calls {called} of {self.names[0]} to "
                f"{self.names[-1]}",
                hint="name the layers that pass the stream on: layers='encoder.layers'; a fused path skips them",
            )
        streams = [entered[0], *(stream for _, stream in left)]
        _check_finite(streams, batch.mask)
        return Pass(streams, answer, [reader.found.get(number, []) for number in range(len(self.layers))])

    def answer(self, batch: Batch, traced: bool = False) -> Float[Tensor, "B C"]:
        """The module's logits `(B, C)`; where it returns a stream, its mean over the real tokens."""
        if traced and isinstance(self.module, Network):  # scores are formed as a whole only for a trace
            output: Any = self.module(batch.inputs, batch.mask, Trace())
        else:
            output = self._forward(self.module, batch.inputs, batch.mask)
        return _answer(output, batch.mask)

    @contextmanager
    def without(self, layer: int) -> Iterator[None]:
        """The stack with that layer passing on what it got."""

        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
            got = _stream((*args, *kwargs.values()))
            return (got, *output[1:]) if isinstance(output, tuple) else got

        handle = self.layers[layer].register_forward_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def answers(self, batch: Batch) -> Float[Tensor, "B C"]:
        with measuring(self.module), torch.no_grad():
            return self.answer(batch).detach().double()

    def _named(self, layers: str | Sequence[str]) -> list[str]:
        known = dict(self.module.named_modules())
        if isinstance(layers, str):
            if layers not in known:
                raise UsageError(f"layers must name a part of the module, got {layers!r}", hint="layers='auto'")
            layers = [f"{layers}.{name}" for name, _ in known[layers].named_children()]
        missing = [name for name in layers if name not in known]
        if missing or not layers:
            raise UsageError(f"layers must name parts of the module, got {missing or 'none'}", hint="layers='auto'")
        return list(layers)

    def _find(self, example: Batch) -> list[str]:
        """The longest list of modules each of which turns (B, L, d) into (B, L, d)."""
        shapes: dict[str, bool] = {}
        batch = Batch(example.inputs[:2], example.mask[:2])

        def watch(name: str) -> Callable[..., None]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
                got, gave = (_find_stream(part) for part in ((*args, *kwargs.values()), (output,)))
                same = got is not None and gave is not None and got.shape == gave.shape
                shapes[name] = same and got is not None and got.shape[:2] == batch.mask.shape

            return hook

        candidates = {
            name: [f"{name}.{child}" if name else child for child, _ in part.named_children()]
            for name, part in self.module.named_modules()
            if isinstance(part, (nn.ModuleList, nn.Sequential)) and len({type(child) for child in part}) == 1
        }
        with measuring(self.module), ExitStack() as cleanup, torch.no_grad():
            for name in {child for children in candidates.values() for child in children}:
                part = self.module.get_submodule(name)
                cleanup.callback(part.register_forward_hook(watch(name), with_kwargs=True).remove)
            if candidates:
                self.answer(batch)
        stacks = [children for children in candidates.values() if children and all(map(shapes.get, children))]
        if not stacks:
            raise UsageError(
                "the module must hold a stack of layers that turn (B, L, d) into (B, L, d), got none in a ModuleList "
                "or Sequential",
                hint="layers=['block1', 'block2'] names them",
            )
        return max(stacks, key=len)


def usual_forward(module: nn.Module) -> Forward:
    """How a module of a known kind is called with inputs and a mask that is True on real tokens."""
    if isinstance(module, nn.TransformerEncoder):
        return lambda module, inputs, mask: module(inputs, src_key_padding_mask=~mask)
    known = signature(module.forward).parameters
    if "input_ids" in known and "attention_mask" in known:
        return lambda module, inputs, mask: module(input_ids=inputs, attention_mask=mask.long())
    return lambda module, inputs, mask: module(inputs, mask)


@contextmanager
def measuring(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, without the fused path that skips layers; everything as it was afterwards."""
    modes = {part: part.training for part in module.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, training in modes.items():
            part.training = training


def _find_stream(values: Any) -> Tensor | None:
    for value in values:
        inner = value[0] if isinstance(value, (tuple, list)) and value else value
        if isinstance(inner, Tensor) and inner.dim() == 3 and inner.is_floating_point():
            return inner
    return None


def _stream(values: Any) -> Tensor:
    found = _find_stream(values)
    if found is None:
        raise UsageError("a layer must get and give a stream of shape (B, L, d), got none", hint="layers='...'")
    return found


def _watched(stream: Tensor, keep_gradients: bool) -> Tensor:
    if keep_gradients and stream.requires_grad:
        stream.retain_grad()
    return stream


def _answer(output: Any, mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B C"]:
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = getattr(output, "last_hidden_state", output)
    if isinstance(logits, (tuple, list)):
        logits = logits[0]
    if isinstance(logits, Tensor) and logits.dim() == 3 and logits.shape[:2] == mask.shape:
        kept = mask.unsqueeze(-1)
        return logits.masked_fill(~kept, 0).sum(1) / kept.sum(1)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(mask):
        raise UsageError(
            "the module must return logits (B, C) or a stream (B, L, d), got "
            f"{tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__}",
            hint="forward=lambda module, inputs, mask: ...",
        )
    return logits


def _check_finite(streams: Sequence[Tensor], mask: Bool[Tensor, "B L"]) -> None:
    for number, stream in enumerate(streams):
        bad = int((~stream.detach()[mask].isfinite()).any(-1).sum())
        if bad:
            where = f"what layer {number} passes on" if number else "what enters the first layer"
            raise UsageError(
                f"the stream must be finite, got NaN or infinity at {bad} of {int(mask.sum())} tokens in {where}",
                hint="lower the initial scale or the learning rate, or examine an earlier checkpoint",
            )
