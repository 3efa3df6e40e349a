"""A positional encoding in an attention of your own: two hooks, and `attend`, which knows pads and packed texts."""

import torch
from torch import Tensor, nn

from scriptchain.attention import attend
from scriptchain.positions import Positions, Size, build


class Attention(nn.Module):
    def __init__(self, size: Size, positions: str):
        super().__init__()
        self.heads, self.scale = size.num_heads, (size.d_model // size.num_heads) ** -0.5
        self.project = nn.Linear(size.d_model, 3 * size.d_model)
        self.encoding = build(positions, size, {})

    def forward(self, x: Tensor, p: Positions) -> Tensor:
        x = self.encoding.embed(x, p)
        q, k, v = self.project(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        bias = self.encoding.bias(x, q, k, p)
        q, k = self.encoding.rotate(q, k, p)
        return attend(q, k, v, p, scale=self.scale, bias=bias).flatten(-2)


torch.manual_seed(0)
lengths = [5, 2, 7]
texts = [torch.randn(length, 32) for length in lengths]

mask = torch.arange(7) >= 7 - torch.tensor(lengths)[:, None]  # padded on the left
padded = torch.full((3, 7, 32), 9.0)  # what stands on pads never counts
padded[mask] = torch.cat(texts)
segment = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))  # or one behind another, without pads

for name in ("rope", "toeplitz", "learned", "shaw", "forgetting", "rope+t5_bias"):
    attention = Attention(Size(d_model=32, num_heads=4, num_layers=1, max_seq_len=7), name)
    for parameter in attention.encoding.parameters():
        nn.init.normal_(parameter, std=0.5)  # as if trained
    alone = torch.cat([attention(text[None], Positions.from_lengths(torch.tensor([len(text)])))[0] for text in texts])
    left = attention(padded, Positions.from_mask(mask))[mask]
    packed = attention(torch.cat(texts), Positions.from_packed(segment))
    assert torch.allclose(left, alone, atol=1e-5)
    assert torch.allclose(packed, alone, atol=1e-5)
    print(f"{name}: left padding and packing change nothing")
