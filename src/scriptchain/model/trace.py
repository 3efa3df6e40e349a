"""Named intermediates beside the output, off by default."""

from torch import Tensor


class Trace(dict[str, Tensor]):
    """Collects what a forward passes it: `encoder(ids, p, trace=t)`, then `t["layers.0.attention.weights"]`.

    The tensors keep their graph, so gradients can be asked of them.
    """

    def __init__(self, prefix: str = "", into: "Trace | None" = None):
        super().__init__()
        self._prefix = prefix
        self._into = self if into is None else into

    def __call__(self, name: str, tensor: Tensor) -> None:
        assert self._prefix + name not in self._into, f"{self._prefix + name} recorded twice"
        self._into[self._prefix + name] = tensor

    def scope(self, name: str) -> "Trace":
        """A recorder that puts `name.` before every name and stores in this one."""
        return Trace(f"{self._prefix}{name}.", self._into)
