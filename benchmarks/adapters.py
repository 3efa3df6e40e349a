"""Positional encodings of public libraries in adapters: each is called as its own library does on a padded batch.

Whole encoders are built from a config with one layer and random weights; encodings that come alone stand in the kit's
attention.
"""

from collections.abc import Iterator
from typing import Any

import positional_encodings.torch_encodings
import rotary_embedding_torch
import torch
import transformers
import x_transformers.x_transformers as xt
from torch import Tensor, nn
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

from scriptchain.conformance import Adapter, Claims
from scriptchain.positions import Size

PAD, WORD = 1, 5  # ids of RoBERTa's pad and of any other token


class Transformers(Adapter):
    """An encoder of Hugging Face transformers; `positions` is in the names of the parameters that encode them."""

    positions = "position_embeddings"

    def __init__(self, size: Size, model: nn.Module):
        super().__init__(size)
        self.model = model

    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.model(inputs_embeds=x, attention_mask=mask.long()).last_hidden_state

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, value) for name, value in self.named_parameters() if self.positions in name)


class TakesPositions(Transformers):
    """One that has an argument `position_ids`; `first` is the number of the first token."""

    first = 0

    def outputs_at(self, x: Tensor, mask: Tensor, coordinate: Tensor) -> Tensor:
        ids = coordinate + self.first
        return self.model(inputs_embeds=x, attention_mask=mask.long(), position_ids=ids).last_hidden_state


def sizes(size: Size, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": 32, "hidden_size": size.d_model, "num_attention_heads": size.num_heads, "num_hidden_layers": 1,
        "intermediate_size": 16, "max_position_embeddings": size.max_seq_len, **more,
    }  # fmt: skip


class Bert(TakesPositions):
    def __init__(self, size: Size):
        super().__init__(size, transformers.BertModel(transformers.BertConfig(**sizes(size)), add_pooling_layer=False))


class RobertaEmbeds(TakesPositions):
    """By `inputs_embeds` alone."""

    first = PAD + 1

    def __init__(self, size: Size):
        config = transformers.RobertaConfig(**sizes(size, max_position_embeddings=size.max_seq_len + self.first))
        super().__init__(size, transformers.RobertaModel(config, add_pooling_layer=False))


class Roberta(RobertaEmbeds):
    """By token ids, of which the library makes the positions."""

    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        ids = torch.where(mask, WORD, PAD)
        positions = self.model.embeddings.create_position_ids_from_input_ids(ids, PAD)
        return self.model(inputs_embeds=x, attention_mask=mask.long(), position_ids=positions).last_hidden_state


class T5(Transformers):
    positions = "relative_attention_bias"
    float64 = False  # its norm

    def __init__(self, size: Size):
        width = size.d_model // size.num_heads
        config = transformers.T5Config(
            vocab_size=32, d_model=size.d_model, d_kv=width, d_ff=16, num_layers=1, num_heads=size.num_heads
        )
        super().__init__(size, transformers.T5EncoderModel(config))


class DebertaV2(Transformers):
    """With its default `position_biased_input=True`, which adds a table of absolute positions."""

    positions = "rel_embeddings"
    biased = True

    def __init__(self, size: Size):
        relative = {"relative_attention": True, "max_relative_positions": 6, "pos_att_type": ["c2p", "p2c"]}
        config = transformers.DebertaV2Config(
            **sizes(size, **relative, position_biased_input=self.biased, pad_token_id=0)
        )
        super().__init__(size, transformers.DebertaV2Model(config))


class DebertaV2Relative(DebertaV2):
    biased = False


class ModernBert(TakesPositions):
    positions = "rotary"
    float64 = False  # its angles

    def __init__(self, size: Size):
        special = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
        super().__init__(size, transformers.ModernBertModel(transformers.ModernBertConfig(**sizes(size, **special))))


class Wav2Vec2BertRelativeKey(Transformers):
    """Shaw's relative keys, the last of their kind in transformers 5: 64 to the left, 8 to the right."""

    positions = "distance_embedding"

    def __init__(self, size: Size):
        config = transformers.Wav2Vec2BertConfig(
            **{key: value for key, value in sizes(size).items() if "max" not in key}
        )
        config._attn_implementation = "eager"
        super().__init__(size, Wav2Vec2BertSelfAttention(config))

    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        hidden = torch.zeros_like(mask, dtype=x.dtype).masked_fill(~mask, torch.finfo(x.dtype).min)
        return self.model(x, attention_mask=hidden[:, None, None])[0]


class Alone(Adapter):
    """An encoding that comes without an attention."""

    def __init__(self, size: Size, encoding: nn.Module):
        super().__init__(size)
        self.encoding = encoding


class Added(Alone):
    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.attend(*self.project(x + self.encoding(x)), mask)


class XSinusoidal(Added):
    def __init__(self, size: Size):
        super().__init__(size, xt.ScaledSinusoidalEmbedding(size.d_model))


class XAbsolute(Alone):
    """Told where each text starts, which is how this library serves padding on the left."""

    def __init__(self, size: Size):
        super().__init__(size, xt.AbsolutePositionalEmbedding(size.d_model, size.max_seq_len))

    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.attend(*self.project(x + self.encoding(x, seq_start_pos=mask.long().argmax(1))), mask)

    def outputs_at(self, x: Tensor, mask: Tensor, coordinate: Tensor) -> Tensor:
        return self.attend(*self.project(x + self.encoding(x, pos=coordinate)), mask)


class Sinusoidal1D(Added):
    def __init__(self, size: Size):
        super().__init__(size, positional_encodings.torch_encodings.PositionalEncoding1D(size.d_model))


class Biased(Alone):
    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        bias = self.encoding(mask.shape[1], mask.shape[1]).to(x.dtype)
        return self.attend(*self.project(x), mask, bias[None])


class XT5Bias(Biased):
    def __init__(self, size: Size):
        width = size.d_model // size.num_heads
        super().__init__(size, xt.RelativePositionBias(width**0.5, heads=size.num_heads))


class XDynamicBias(Biased):
    def __init__(self, size: Size):
        super().__init__(size, xt.DynamicPositionBias(8, heads=size.num_heads, depth=2, log_distance=True))


class XAlibi(Biased):
    def __init__(self, size: Size):
        super().__init__(size, xt.AlibiPositionalBias(size.num_heads))

    def outputs_at(self, x: Tensor, mask: Tensor, coordinate: Tensor) -> Tensor:
        return self.attend(*self.project(x), mask, self.encoding.forward_custom_pos(coordinate))


class XRotary(Alone):
    def __init__(self, size: Size):
        super().__init__(size, xt.RotaryEmbedding(size.d_model // size.num_heads))

    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.outputs_at(x, mask, torch.arange(mask.shape[1]))

    def outputs_at(self, x: Tensor, mask: Tensor, coordinate: Tensor) -> Tensor:
        angles, scale = self.encoding(coordinate)
        q, k, v = self.project(x)
        q, k = (xt.apply_rotary_pos_emb(part.transpose(1, 2), angles, scale).transpose(1, 2) for part in (q, k))
        return self.attend(q, k, v, mask)


class Rotary(Alone):
    learn = False

    def __init__(self, size: Size):
        width = size.d_model // size.num_heads
        super().__init__(size, rotary_embedding_torch.RotaryEmbedding(width, learned_freq=self.learn))

    def outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.project(x)
        q, k = (self.encoding.rotate_queries_or_keys(part.transpose(1, 2)).transpose(1, 2) for part in (q, k))
        return self.attend(q, k, v, mask)


ABSOLUTE: Any = {"order_aware": True, "direction_aware": True, "shift_invariant": False}
RELATIVE: Any = {"order_aware": True, "direction_aware": True, "shift_invariant": True}
PUBLIC: dict[str, tuple[str, type[Adapter], Claims]] = {
    "BERT": ("transformers", Bert, Claims(**ABSOLUTE, limited=True, reach=12)),
    "RoBERTa, by ids": ("transformers", Roberta, Claims(**ABSOLUTE, limited=True, reach=12)),
    "RoBERTa, by inputs_embeds": ("transformers", RobertaEmbeds, Claims(**ABSOLUTE, limited=True, reach=12)),
    "T5 encoder": ("transformers", T5, Claims(**RELATIVE, reach=150)),
    "DeBERTa-v2": ("transformers", DebertaV2, Claims(**ABSOLUTE, limited=True, reach=12)),
    "DeBERTa-v2, relative alone": ("transformers", DebertaV2Relative, Claims(**RELATIVE, reach=12)),
    "ModernBERT": ("transformers", ModernBert, Claims(**RELATIVE)),
    "wav2vec2-bert relative_key": ("transformers", Wav2Vec2BertRelativeKey, Claims(**RELATIVE, reach=80)),
    "RotaryEmbedding": ("x-transformers", XRotary, Claims(**RELATIVE)),
    "RelativePositionBias": ("x-transformers", XT5Bias, Claims(**RELATIVE, reach=150)),
    "DynamicPositionBias": ("x-transformers", XDynamicBias, Claims(**RELATIVE, reach=12)),
    "AlibiPositionalBias": (
        "x-transformers", XAlibi, Claims(order_aware=True, direction_aware=False, shift_invariant=True),
    ),
    "AbsolutePositionalEmbedding": ("x-transformers", XAbsolute, Claims(**ABSOLUTE, limited=True, reach=12)),
    "ScaledSinusoidalEmbedding": ("x-transformers", XSinusoidal, Claims(**ABSOLUTE, reach=12)),
    "RotaryEmbedding, alone": ("rotary-embedding-torch", Rotary, Claims(**RELATIVE)),
    "PositionalEncoding1D": ("positional-encodings", Sinusoidal1D, Claims(**ABSOLUTE)),
}  # fmt: skip
