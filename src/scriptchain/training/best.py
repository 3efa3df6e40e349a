"""Early stopping: the weights of the best epoch so far, and when to give up on a better one."""

from collections.abc import Mapping

from torch import Tensor, nn


class Best:
    """Keeps the epoch of highest validation macro-F1, ties by the lower loss; with `patience` 0, the last epoch."""

    def __init__(self, patience: int):
        self.patience, self.epoch = patience, 0
        self.weights: dict[str, Tensor] | None = None
        self.score: tuple[float, float] | None = None

    def offer(self, epoch: int, scores: Mapping[str, float] | None, network: nn.Module) -> bool:
        """After each epoch; True means that `patience` epochs in a row brought nothing better."""
        if scores is None or not self.patience:
            self.epoch = epoch
            return False
        score = (scores["macro_f1"], -scores["loss"])
        if self.score is None or score > self.score:
            self.score, self.epoch = score, epoch
            self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        return epoch - self.epoch >= self.patience
