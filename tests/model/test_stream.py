"""Law: what a network computes without pads is what it computes with them, gradients included."""

import torch

from scriptchain.config import make
from scriptchain.conformance.inputs import VOCAB, perturbed
from scriptchain.model.pipeline import Network, places, unpadded

from ..positions.rows import ALONE, SMALL, rows

LENGTHS = torch.tensor([2, 7, 5])


@rows(row for row in ALONE if row.name not in ("offset", "shape", "cape", "randomized"))
def test_a_stream_gives_the_same_logits_and_gradients_as_a_padded_batch(row):
    """The four left out draw coordinates in training, for a text at a time."""
    config = make({**SMALL, "positions": row.name, "positions_options": dict(row.options), "dropout": 0.0})
    network = perturbed(Network(config, VOCAB, 3)).double()
    mask = torch.arange(8) < LENGTHS[:, None]
    ids = torch.where(mask, torch.randint(4, VOCAB, mask.shape, generator=torch.Generator().manual_seed(0)), 0)
    found = []
    for run in (lambda: network(ids, mask), lambda: network.classify(ids, places(ids, mask))):
        network.zero_grad()
        with unpadded():
            logits = run()
        logits.square().sum().backward()
        found.append((logits, {name: one.grad for name, one in network.named_parameters()}))
    (ours, gradients), (padded, wanted) = found
    torch.testing.assert_close(ours, padded)
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradients[name], gradient, msg=name)


def test_linear_layers_see_real_tokens_alone():
    network, seen = Network(make(SMALL), VOCAB, 3), []
    network.encoder.layers[0].feedforward.expand.register_forward_hook(lambda _, x, y: seen.append(x[0].shape[:-1]))
    mask = torch.arange(8) < LENGTHS[:, None]
    ids = torch.full(mask.shape, 4)
    network(ids, mask)
    with unpadded():
        network(ids, mask)
        network(ids, torch.ones_like(mask))
        network(ids, mask & (LENGTHS > 2)[:, None])  # a text of pads alone
    assert seen == [(3, 8), (14,), (3, 8), (3, 8)]
