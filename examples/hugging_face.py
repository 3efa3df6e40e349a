"""Another encoding in a Hugging Face BERT, by the route its library documents: an attention function of one's own.

    pip install 'transformers>=5'
    python examples/hugging_face.py

The weights are drawn, nothing is downloaded. Any encoding serves that acts inside attention.
"""

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, BertConfig, BertModel

from scriptchain.attention import attend
from scriptchain.positions import PositionalEncoding, Positions, Size, load, stack


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    *, positions: Positions, scaling: float, dropout: float = 0.0, **rest: object,
) -> tuple[Tensor, None]:  # fmt: skip
    """What each layer calls, heads first; `positions` is the model's own keyword, handed through to here."""
    encoding, x = module.encoding, module.stream
    assert isinstance(encoding, PositionalEncoding)
    assert isinstance(x, Tensor)
    q, k, v = (heads_first.transpose(1, 2) for heads_first in (query, key, value))
    bias = encoding.bias(x, q, k, positions)
    q, k = encoding.rotate(q, k, positions)
    return attend(q, k, v, positions, scale=scaling, bias=bias, dropout=dropout), None


def keep_stream(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    """Before a layer's projections: some encodings read what these see, which attention functions do not get."""
    module.stream = arguments[0]


AttentionInterface.register("scriptchain", attention)


def swap(model: BertModel, name: str, **options: object) -> BertModel:
    """The same model with this encoding at every layer, in the place of its learned absolute positions."""
    for part in name.replace("/", "+").split("+"):
        if part != "none" and not load(part).every_layer:
            raise ValueError(f"positions must act inside attention, got {part!r}")
    config = model.config
    size = Size(
        config.hidden_size, config.num_attention_heads, config.num_hidden_layers, config.max_position_embeddings
    )
    encodings = stack(name, size, options)
    nn.init.zeros_(model.embeddings.position_embeddings.weight).requires_grad_(False)
    for number in range(config.num_hidden_layers):
        layer = model.get_submodule(f"encoder.layer.{number}.attention.self")
        # A submodule: it is trained, moved and saved with the model. To load such a model, swap before its weights.
        layer.add_module("encoding", encodings[number])
        layer.register_forward_pre_hook(keep_stream)
    model.set_attn_implementation("scriptchain")
    return model


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([5, 2, 7])
    ids = torch.randint(1, 99, (int(lengths.sum()),))
    segment = torch.repeat_interleave(torch.arange(3), lengths)
    texts = [ids[segment == number] for number in range(3)]
    mask = torch.arange(7) >= 7 - lengths[:, None]  # padded on the left
    padded = torch.zeros(3, 7, dtype=torch.long)
    padded[mask] = ids

    config = BertConfig(
        vocab_size=99, hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=64,
        max_position_embeddings=7, initializer_range=0.5,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    alone = torch.cat([model(text[None]).last_hidden_state[0] for text in texts])
    left = model(padded, attention_mask=mask).last_hidden_state[mask]
    print(f"as it is: left padding moves the output by up to {float((left - alone).abs().max()):.1f}")

    for name in ("rope", "toeplitz", "forgetting", "rope+t5_bias"):
        model = swap(BertModel(config, add_pooling_layer=False).eval(), name)
        for layer in range(2):
            for parameter in model.get_submodule(f"encoder.layer.{layer}.attention.self.encoding").parameters():
                nn.init.normal_(parameter, std=0.5)  # as if trained
        alone = torch.cat(
            [
                model(text[None], positions=Positions.from_lengths(torch.tensor([len(text)]))).last_hidden_state[0]
                for text in texts
            ]
        )
        left = model(padded, positions=Positions.from_mask(mask)).last_hidden_state[mask]
        stream = Positions.from_packed(segment[None])  # all texts in one row; the zero table serves any row number
        packed = model(ids[None], position_ids=torch.zeros_like(ids)[None], positions=stream).last_hidden_state[0]
        assert torch.allclose(left, alone, atol=1e-4)
        assert torch.allclose(packed, alone, atol=1e-4)
        print(f"{name}: left padding and packing change nothing")


if __name__ == "__main__":
    main()
