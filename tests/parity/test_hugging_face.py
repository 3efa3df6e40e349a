"""The example that puts our encodings into a Hugging Face BERT."""

import runpy
from pathlib import Path

import pytest
import torch

from scriptchain.positions import Positions

from .ours import PARITY

pytestmark = PARITY
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "hugging_face.py")


def test_it_asserts_its_claims(capsys):
    runpy.run_path(EXAMPLE, run_name="__main__")
    assert capsys.readouterr().out.count("left padding and packing change nothing") == 4


@pytest.fixture
def swap():
    return runpy.run_path(EXAMPLE)["swap"]


@pytest.fixture
def bert():
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=99, hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=64,
        max_position_embeddings=7, initializer_range=0.5,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False).eval()


@pytest.mark.parametrize(("name", "blind"), [("none", True), ("alibi", False), ("rope/none", False)])
def test_order_enters_by_the_encoding_alone(swap, bert, name, blind):
    ids, p = torch.randint(1, 99, (1, 7)), Positions.from_lengths(torch.tensor([7]))
    model = swap(bert, name)
    one, other = (model(x, positions=p).last_hidden_state.mean(1) for x in (ids, ids.roll(2, 1)))
    assert torch.allclose(one, other, atol=1e-5) is blind


@pytest.mark.parametrize("name", ["toeplitz", "forgetting", "distance_profile"])
def test_it_learns_and_is_saved(swap, bert, name):
    model = swap(bert, name)
    ids, p = torch.randint(1, 99, (1, 7)), Positions.from_lengths(torch.tensor([7]))
    model(ids, positions=p).last_hidden_state[..., 0].sum().backward()
    own = {key: value for key, value in model.named_parameters() if ".encoding." in key}
    assert own
    assert set(own) <= set(model.state_dict())
    assert any(parameter.grad.abs().max() > 1e-3 for parameter in own.values())
    assert model.embeddings.position_embeddings.weight.grad is None


@pytest.mark.parametrize("name", ["learned", "learned+rope", "shape+rope"])
def test_what_acts_elsewhere_is_refused(swap, bert, name):
    with pytest.raises(ValueError, match=f"positions must act inside attention, got '{name.split('+')[0]}'"):
        swap(bert, name)
