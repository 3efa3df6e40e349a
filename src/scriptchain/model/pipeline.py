"""The straight line from tokens to logits: the one forward path of the project."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config import Config
from ..data.batches import score_in_batches
from ..data.tokenizer import CLS, Tokenizer
from ..heap import Heap
from ..positions import Positions
from ..positions._positions import readable
from ..runtime import tensors
from ..runtime.bundle import Bundle
from .encoder import Encoder
from .head import Head
from .initialise import initialise
from .linear import quick_products
from .trace import Trace

_UNPADDED = ContextVar("unpadded", default=False)


class Network(nn.Module):
    """Encoder and head. `forward(ids, mask)` is what training, the lab and the ONNX export run."""

    def __init__(self, config: Config, vocab_size: int, num_classes: int):
        super().__init__()
        self.encoder = Encoder(config, vocab_size)
        self.head = Head(config, num_classes)
        initialise(self, config)

    def forward(
        self, ids: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"], trace: Trace | None = None
    ) -> Float[Tensor, "B C"]:
        p = places(ids, mask)
        if trace is None and _goes_unpadded(mask):
            return self.classify(ids[mask], p.stream())
        return self.classify(ids, p, trace)

    def classify(self, ids: Int[Tensor, "*T"], p: Positions, trace: Trace | None = None) -> Float[Tensor, "texts C"]:
        """Logits from any positions: a padded batch or a packed stream."""
        return self.head(self.encoder(ids, p, trace), p)


@contextmanager
def unpadded() -> Iterator[None]:
    """Inside, a network on a CPU computes real tokens alone, by the quicker product: the same numbers, sooner. What
    looks into layers from outside, as the lab does, finds padded batches there, and goes without."""
    token = _UNPADDED.set(True)
    try:
        with quick_products():
            yield
    finally:
        _UNPADDED.reset(token)


def _goes_unpadded(mask: Bool[Tensor, "B L"]) -> bool:
    """Not on a device that would have to be waited for, nor where a text has no token at all."""
    if not readable(mask) or mask.device.type != "cpu" or not _UNPADDED.get():
        return False
    shortest = int(mask.sum(1).min())
    return 0 < shortest < mask.shape[1]


def places(ids: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Positions:
    """The positions of a padded batch, [CLS] marked as the special one that it is."""
    return Positions.from_mask(mask, special=ids == CLS)


def network_of(bundle: Bundle) -> Network:
    """The network of a run folder, as training left it. Raises ModelError where its weights are not the config's."""
    with torch.random.fork_rng():
        network = Network(bundle.config, bundle.tokenizer.vocab_size, len(bundle.labels))
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    tensors.check_names(bundle.weights, own, "model.safetensors")
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in bundle.weights.items()})
    return network.eval()


def torch_logits(network: Network, tokenizer: Tokenizer) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """The torch executor: texts to logits of shape `(N, C)`, in evaluation mode and without gradients."""

    def logits(texts: Sequence[str]) -> NDArray[np.float32]:
        network.eval()
        device, heap = next(network.parameters()).device, Heap()

        def run(ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
            with torch.inference_mode(), unpadded():
                answers = network(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
            heap.tend()
            return answers.float().cpu().numpy()

        return score_in_batches(texts, tokenizer, run)

    return logits
