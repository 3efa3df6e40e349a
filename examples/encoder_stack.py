"""What `torch.nn.TransformerEncoder` is, with an encoding at each layer: blocks and a container of encodings."""

import torch
from torch import Tensor, nn

from scriptchain.config import Config, make
from scriptchain.model.block import Block
from scriptchain.positions import Positions, Size, stack


class Encoder(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        size = Size(config.d_model, config.num_heads, config.num_layers, config.max_seq_len)
        self.encodings = stack(config.positions, size, config.positions_options)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, p: Positions) -> Tensor:
        p = self.encodings.place(p)
        for number, layer in enumerate(self.layers):
            encoding = self.encodings[number]
            x = layer(encoding.embed(x, p), p, encoding)
        return self.norm(x)


torch.manual_seed(0)
lengths = [5, 2, 7]
texts = [torch.randn(length, 32) for length in lengths]

mask = torch.arange(7) >= 7 - torch.tensor(lengths)[:, None]  # padded on the left
padded = torch.full((3, 7, 32), 9.0)  # what stands on pads never counts
padded[mask] = torch.cat(texts)
segment = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))  # or one behind another, without pads

shape = {"d_model": 32, "num_heads": 4, "num_layers": 4, "d_feedforward": 64, "max_seq_len": 7}
for name in ("alibi", "transformer_xl", "learned+toeplitz", "rope/none"):
    encoder = Encoder(make({**shape, "positions": name})).eval()
    for parameter in encoder.encodings.parameters():
        nn.init.normal_(parameter, std=0.5)  # as if trained
    alone = torch.cat([encoder(text[None], Positions.from_lengths(torch.tensor([len(text)])))[0] for text in texts])
    left = encoder(padded, Positions.from_mask(mask))[mask]
    packed = encoder(torch.cat(texts), Positions.from_packed(segment))
    assert torch.allclose(left, alone, atol=1e-5)
    assert torch.allclose(packed, alone, atol=1e-5)
    print(f"{name}: left padding and packing change nothing")
