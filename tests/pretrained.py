"""The folder of a BERT as somebody else would have saved it, small enough to be tuned in a second."""

import json
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

PIECES = [
    "[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!?.,'", *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), "the", "food", "was", "good", "bad", "##ness",
    "wine", "not",
]  # fmt: skip
SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 32,
         "max_position_embeddings": 24}  # fmt: skip
# The config of ours that fits it, over the preset `tuned`.
FITTING = {"d_model": 16, "num_heads": 2, "num_layers": 2, "d_feedforward": 32, "max_seq_len": 16, "vocab_size": 300}
SETTINGS = [f"{key}={value}" for key, value in FITTING.items()]


def bert_folder(folder: Path, **changes) -> Path:
    """config.json, model.safetensors and tokenizer.json of a BERT whose weights are drawn, not trained."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(PIECES), initializer_range=0.3, **(SHAPE | changes))
    model = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases too, so that none can be left out unseen
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer().to_str(), encoding="utf-8")
    return folder


def tokenizer() -> tokenizers.Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    made.enable_truncation(9)  # theirs, which ours must not inherit
    return made


def changed(path: Path, **values) -> None:
    """Other values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), encoding="utf-8")
