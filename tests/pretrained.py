"""The folder of an encoder as somebody else would have saved it, small enough to be tuned in a second."""

import base64
import json
import struct
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

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


def bert_folder(folder: Path, kind: str = "bert", **changes) -> Path:
    """config.json, model.safetensors and tokenizer.json of an encoder whose weights are drawn, not trained."""
    import torch
    import transformers

    torch.manual_seed(0)
    names = {"hidden_size": "dim", "num_attention_heads": "n_heads", "intermediate_size": "hidden_dim",
             "num_hidden_layers": "n_layers"} if kind == "distilbert" else {}  # fmt: skip
    own = {"embedding_size": SHAPE["hidden_size"]} if kind == "electra" else {}
    if kind in ("roberta", "xlm-roberta"):
        own |= {"type_vocab_size": 1, "max_position_embeddings": 66}
    shape = {names.get(key, key): value for key, value in (SHAPE | own | changes).items()}
    made = {"roberta": bytes_tokenizer, "xlm-roberta": unigram_tokenizer}.get(kind, tokenizer)()
    config = transformers.AutoConfig.for_model(kind, vocab_size=made.get_vocab_size(), initializer_range=0.3, **shape)
    pooler = {"add_pooling_layer": False} if kind in ("bert", "roberta", "xlm-roberta") else {}
    model = transformers.AutoModel.from_config(config, **pooler)
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases too, so that none can be left out unseen
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(made.to_str(), encoding="utf-8")
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


def bytes_tokenizer() -> tokenizers.Tokenizer:
    """As RoBERTa's: byte-level BPE, with its names of the special tokens at its places."""
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    words = [
        "the food was good",
        "The wine was not bad, was it?",
        "badness of the good wine",
        "nobody noticed yesterday that everything underneath whispered",
        "mountains rivers children tomorrow",
    ] * 5
    made.train_from_iterator(words, trainers.BpeTrainer(
        vocab_size=400, special_tokens=names, initial_alphabet=letters, show_progress=False,
    ))  # fmt: skip
    made.add_special_tokens(["<mask>"])
    document = json.loads(made.to_str())
    document["model"]["vocab"]["<mask>"] = len(document["model"]["vocab"])
    made = tokenizers.Tokenizer.from_str(json.dumps(document))
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    made.enable_truncation(9)
    return made


# A table of characters that changes none: its trie has no branch.
CHARSMAP = base64.b64encode(struct.pack("<I", 1024) + bytes(1024)).decode()


def unigram_tokenizer() -> tokenizers.Tokenizer:
    """As XLM-RoBERTa's: pieces with the logarithms of their likelihoods."""
    pieces = ["▁", "▁the", "▁was", "▁good", "▁food", "▁wine", "▁not", "▁bad", "ness", "▁it", ",", "?", "!", ".",
              "▁mountain", *"abcdefghijklmnopqrstuvwxyzTBü", "▁th", "oo", "ood", "▁猫"]  # fmt: skip
    scores = [(piece, -2.0 - 0.25 * number) for number, piece in enumerate(pieces)]
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    made = tokenizers.Tokenizer(models.Unigram([*((name, 0.0) for name in names), *scores, ("<mask>", 0.0)], unk_id=3))
    made.normalizer = normalizers.Precompiled(base64.b64decode(CHARSMAP))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.add_special_tokens([*names, "<mask>"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    made.enable_truncation(9)
    return made


def changed(path: Path, **values) -> None:
    """Other values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), encoding="utf-8")
