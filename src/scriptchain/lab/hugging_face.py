"""Encoders of transformers as targets: a folder with config.json, model.safetensors and tokenizer.json, offline."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from ..errors import MissingExtraError, ModelError, first_line
from .stack import Batch

MAX_TOKENS, BATCH = 64, 32


def is_folder(path: Path) -> bool:
    """Whether it is such a folder: its config.json names a model_type, which ours never do."""
    try:
        return "model_type" in json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def load(path: Path, *, initial: bool = False, seed: int = 0) -> nn.Module:
    """The encoder in float32, with its head where it was saved as a classifier; `initial` draws new weights instead.

    Nothing is downloaded, no code of the folder is run and no pickle is read.

    *Raises*: MissingExtraError without the [hf] extra; ModelError for a folder that cannot be loaded, an
    encoder-decoder, or weights that are not safetensors.
    """
    try:
        import transformers
    except ModuleNotFoundError:
        raise MissingExtraError("a Hugging Face folder", "hf") from None
    if not initial and not list(path.glob("*.safetensors")):
        raise ModelError(f"{path} must hold its weights as safetensors, got none",
                         hint="model.save_pretrained(folder, safe_serialization=True)")  # fmt: skip
    with _offline(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            config: Any = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
            classifier = any("SequenceClassification" in name for name in config.architectures or [])
            auto: Any = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
            if getattr(config, "is_encoder_decoder", False):
                raise ModelError(f"{path} must hold one stack of layers, got an encoder with a decoder",
                                 hint="lab.examine(model.encoder, batches)")  # fmt: skip
            if initial:
                model = auto.from_config(config, attn_implementation="sdpa")
            else:
                model = auto.from_pretrained(path, local_files_only=True, use_safetensors=True)
        except ModelError:
            raise
        except Exception as error:  # whatever another library finds wrong with a folder
            raise ModelError(f"{path} must be a folder that transformers can load ({first_line(error)})") from None
    return model.float().eval()


def batches(
    path: Path, texts: Sequence[str], labels: Sequence[int] | None = None, *, max_tokens: int = MAX_TOKENS,
    batch_size: int = BATCH,
) -> list[Batch]:  # fmt: skip
    """The texts through the folder's own tokenizer, padded on the right; [CLS], [SEP] and the like are special.

    *Raises*: ModelError without a tokenizer.json.
    """
    file = path / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:
        raise ModelError(f"{file} must be a tokenizer file ({first_line(error)})",
                         hint="AutoTokenizer.from_pretrained(folder).save_pretrained(folder)") from None  # fmt: skip
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    encoded = tokenizer.encode_batch(list(texts))
    pad = json.loads((path / "config.json").read_text("utf-8")).get("pad_token_id") or 0
    order = np.argsort([len(one.ids) for one in encoded], kind="stable")
    found = []
    for start in np.random.default_rng(0).permutation(range(0, len(order), batch_size)):
        rows = order[start : start + batch_size]
        width = max(len(encoded[row].ids) for row in rows)
        ids = torch.full((len(rows), width), pad)
        mask, special = torch.zeros(len(rows), width, dtype=torch.bool), torch.zeros(len(rows), width, dtype=torch.bool)
        for at, row in enumerate(rows):
            length = len(encoded[row].ids)
            ids[at, :length] = torch.tensor(encoded[row].ids)
            mask[at, :length] = True
            special[at, :length] = torch.tensor(encoded[row].special_tokens_mask, dtype=torch.bool)
        truth = None if labels is None else torch.tensor([labels[row] for row in rows])
        found.append(Batch(ids, mask, truth, special))
    return found


@contextmanager
def _offline() -> Iterator[None]:
    """No network whatever the user's settings are, and none of the library's own lines on standard error."""
    before, level = os.environ.get("HF_HUB_OFFLINE"), logging.root.manager.disable
    from transformers.utils import logging as chatter

    bars = chatter.is_progress_bar_enabled()
    os.environ["HF_HUB_OFFLINE"] = "1"
    logging.disable(logging.WARNING)
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        logging.disable(level)
        if bars:
            chatter.enable_progress_bar()
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before
