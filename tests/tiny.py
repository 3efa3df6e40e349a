"""The smallest model that trains in seconds, as `--set` takes it."""

TINY = [
    "d_model=16", "num_heads=2", "num_layers=1", "d_feedforward=32", "epochs=2", "max_seq_len=16", "vocab_size=300",
    "tokenizer=bpe",
]  # fmt: skip
