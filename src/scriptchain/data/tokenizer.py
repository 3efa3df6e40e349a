"""Text to token ids by the `tokenizers` library; truncation is counted, never silent."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from ..config import BORROWED
from ..errors import ConfigError, ModelError
from .ragged import Ragged
from .text import model_text

KINDS = ("word", "bpe", "whole")  # that can be trained
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[MASK]"]
PAD, UNK, CLS, MASK = range(4)
SEP = "[SEP]"  # a fifth one of BORROWED, behind the others
# No token of these tokenizers needs more characters than this on average; what is longer is cut before the
# tokenizer sees it, so that a text of many megabytes costs no more than its first max_seq_len tokens.
CHARACTERS_A_TOKEN = 64
AT_ONCE = 4096  # texts: what the library makes of one is a hundred times as large as its ids


@dataclass(frozen=True)
class Encoded:
    """Token ids of each text, cut at max_seq_len, and which texts were cut."""

    ids: Ragged
    truncated: NDArray[np.bool_]


class Tokenizer:
    """Word level (as in the study: lower case, words only), or byte-level BPE (any script and emoji).

    `bpe` cuts rare words into pieces. In `whole` words stay whole: a word that was seen less than
    `min_frequency` times is [UNK] where it is of the letters a to z, and pieces of its other bytes.
    With `cls`, [CLS] stands before each text and counts as one token of `max_seq_len`.
    `wordpiece` is BERT's: pieces of words without accents, and [SEP] behind each text (arXiv 1810.04805). `roberta` is
    RoBERTa's: byte-level BPE in which a word without a space before it is another one, and [SEP] (arXiv 1907.11692).
    `unigram` is XLM-RoBERTa's, of a hundred languages: NFKC, the likeliest pieces by their scores, and [SEP]
    (arXiv 1804.10959, 1911.02116).
    """

    def __init__(self, backend: tokenizers.Tokenizer, *, max_seq_len: int, cls: bool):
        self._backend = backend
        self._backend.encode_special_tokens = True  # "[PAD]" typed by a user is text, not padding
        self.max_seq_len = max_seq_len
        self.cls = cls
        end = len(SPECIAL)
        self._before, self._behind = [CLS] * cls, [end] if self.vocabulary.get(SEP) == end else []

    @classmethod
    def train(
        cls, texts: Iterable[str], *, kind: str, vocab_size: int, min_frequency: int, lowercase: bool, max_seq_len: int,
        with_cls: bool = False, reserve: Sequence[str] = (),
    ) -> "Tokenizer":  # fmt: skip
        """A vocabulary from these texts alone. Raises ConfigError for a kind that does not exist.

        Where words stay whole, words of `reserve` follow in their order, as far as there is room.
        """
        if kind not in KINDS:
            raise ConfigError(f"tokenizer must be one of {', '.join(KINDS)}, got {kind!r}")
        cleaned = [model_text(text) for text in texts]
        backend = backend_of(kind, lowercase)
        backend.train_from_iterator(cleaned, _trainer(kind, vocab_size, min_frequency))
        if kind == "whole":
            backend = backend_of(kind, lowercase, *_keeping_words(backend, cleaned, vocab_size, min_frequency))
        if reserve and kind != "bpe":  # it would cut a word that it has not met into pieces all the same
            backend = _with_reserve(backend, kind, lowercase, vocab_size, reserve)
        return cls(backend, max_seq_len=max_seq_len, cls=with_cls)

    @classmethod
    def from_json(cls, document: Any, *, kind: str, lowercase: bool, max_seq_len: int, with_cls: bool) -> "Tokenizer":
        """From `to_json`'s document, parsed: its vocabulary alone, in a tokenizer of that kind as it is built here.

        *Raises*: ModelError if anything else in it is not what this kind has.
        """
        backend = backend_of(kind, lowercase, *_vocabulary(document, kind))
        if not _agree(_without_vocabulary(document), _without_vocabulary(json.loads(backend.to_str()))):
            raise ModelError(f"tokenizer.json must be a tokenizer of kind {kind!r}, lowercase {lowercase}, got another")
        return cls(backend, max_seq_len=max_seq_len, cls=with_cls)

    def to_json(self) -> str:
        # Sorted and indented by us: the library's own order is not promised.
        return json.dumps(json.loads(self._backend.to_str()), ensure_ascii=False, indent=1) + "\n"

    @property
    def vocab_size(self) -> int:
        return self._backend.get_vocab_size()

    @property
    def vocabulary(self) -> dict[str, int]:
        return {token.strip(): number for token, number in self._backend.get_vocab().items()}

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Ids of each text; a text without any known token is one [UNK], so that no row is ever empty."""
        budget = self.max_seq_len - len(self._before) - len(self._behind)
        limit = self.max_seq_len * CHARACTERS_A_TOKEN
        rows = Ragged(self.vocab_size)
        truncated = np.zeros(len(texts), dtype=bool)
        for start in range(0, len(texts), AT_ONCE):
            some = texts[start : start + AT_ONCE]
            cleaned = [model_text(text[: 4 * limit]) for text in some]
            heads = [text[:limit] for text in cleaned]
            for number, encoding in enumerate(self._backend.encode_batch_fast(heads, add_special_tokens=False)):
                tokens = encoding.ids or [UNK]
                longer = len(cleaned[number]) > limit or len(some[number]) > 4 * limit
                truncated[start + number] = longer or len(tokens) > budget
                rows.append([*self._before, *tokens[:budget], *self._behind])
        return Encoded(rows, truncated)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token of `encode` stands in `model_text(text)`; (0, 0) for those that stand for no character."""
        budget = self.max_seq_len - len(self._before) - len(self._behind)
        encoding = self._backend.encode(model_text(text), add_special_tokens=False)
        found = (encoding.offsets or [(0, 0)])[:budget]
        return [(0, 0)] * len(self._before) + found + [(0, 0)] * len(self._behind)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text before any truncation, [CLS] and [SEP] counted."""
        frame, found = len(self._before) + len(self._behind), []
        for start in range(0, len(texts), AT_ONCE):
            cleaned = [model_text(text) for text in texts[start : start + AT_ONCE]]
            encodings = self._backend.encode_batch_fast(cleaned, add_special_tokens=False)
            found += [max(1, len(encoding.ids)) + frame for encoding in encodings]
        return found

    def spellings(self) -> list[str]:
        """The text that each token of the vocabulary stands for, nothing for a part of a character."""
        return self.spelled(range(self.vocab_size))

    def spelled(self, ids: Sequence[int]) -> list[str]:
        """The text that each of these tokens stands for, nothing for a part of a character."""
        decoder = self._backend.decoder
        texts = [decoder.decode([token]).strip() if decoder else token for token in self.tokens(ids)]
        return ["" if "\ufffd" in text else text for text in texts]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The tokens behind ids, as the vocabulary spells them."""
        return [(self._backend.id_to_token(int(number)) or SPECIAL[UNK]).strip() for number in ids]


def backend_of(
    kind: str,
    lowercase: bool,
    vocabulary: dict[str, int] | None = None,
    merges: Sequence[tuple[str, str]] = (),
    scores: Sequence[float] = (),
) -> tokenizers.Tokenizer:
    """A tokenizer of that kind: empty, for training, or with a vocabulary."""
    model: Any
    if kind == "word":
        model = models.WordLevel(vocabulary, unk_token=SPECIAL[UNK])
    elif kind == "wordpiece":
        model = models.WordPiece(vocabulary, unk_token=SPECIAL[UNK], max_input_chars_per_word=100)
    elif kind == "unigram":
        scored = zip(vocabulary or (), [0.0] * len(special(kind)) + list(scores), strict=True)
        model = models.Unigram(list(scored), unk_id=UNK)
    elif kind in ("bpe", "roberta") or vocabulary is None:
        model = models.BPE(vocabulary, list(merges) if vocabulary else None)
    else:
        model = models.BPE(vocabulary, list(merges), unk_token=SPECIAL[UNK], fuse_unk=True, ignore_merges=True)
    backend = tokenizers.Tokenizer(model)
    lower = [normalizers.Lowercase()] if lowercase else []
    if kind == "word":
        # Words with their inner apostrophes; punctuation is dropped, as in the study.
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+(?:['’]\w+)*"), behavior="removed", invert=True)
    elif kind == "wordpiece":
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind in ("bpe", "roberta"):
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "bpe")
    elif kind == "unigram":  # of compatibility forms, NFKC makes spaces
        words = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
        backend.pre_tokenizer = pre_tokenizers.Sequence(words)
    else:
        # A word of letters a to z takes the space before it and its apostrophes along (isn't, 's); all else stands
        # without. The first word is the same token as any other.
        space = pre_tokenizers.Split(Regex(r"\s+(?!['’]?[A-Za-z])"), behavior="removed")
        words = pre_tokenizers.Split(Regex(r" ?['’]?\w+(?:['’]\w+)*|[^\w\s]"), behavior="isolated")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([space, words, bytes_])
    if kind == "whole":
        backend.normalizer = normalizers.Sequence([*lower, normalizers.Prepend(" ")])
    elif kind == "wordpiece":
        backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    elif kind == "unigram":
        spaces = normalizers.Replace(Regex("[\\u200c\\u200d\\u2581\\ufffd]"), " ")
        backend.normalizer = normalizers.Sequence([spaces, normalizers.NFKC()])
    elif lower:
        backend.normalizer = lower[0]
    if kind == "wordpiece":
        backend.decoder = decoders.WordPiece()
    elif kind == "unigram":
        backend.decoder = decoders.Metaspace()
    elif kind != "word":
        backend.decoder = decoders.ByteLevel()
    if vocabulary is not None:
        backend.add_special_tokens(special(kind))
    return backend


def special(kind: str) -> list[str]:
    """What a vocabulary of that kind begins with.

    Every piece of `unigram` may be found in a text, and unknown letters are less likely than any. So its special tokens
    have a space, which no piece of a text has.
    """
    if kind == "unigram":
        return [f" {token}" for token in (*SPECIAL, SEP)]
    return [*SPECIAL, SEP] if kind in BORROWED else SPECIAL


def _trainer(kind: str, vocab_size: int, min_frequency: int) -> trainers.Trainer:
    """Of `whole` it trains the pieces, at most half of the vocabulary; `_keeping_words` adds the words."""
    if kind == "word":
        return _word_trainer(vocab_size, min_frequency, special=SPECIAL)
    return trainers.BpeTrainer(
        vocab_size=vocab_size if kind == "bpe" else max(300, vocab_size // 2), min_frequency=min_frequency,
        special_tokens=SPECIAL, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip


def _word_trainer(vocab_size: int, min_frequency: int, special: list[str]) -> trainers.WordLevelTrainer:
    return trainers.WordLevelTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=special, show_progress=False
    )


def _vocabulary(document: Any, kind: str) -> tuple[dict[str, int], list[tuple[str, str]], list[float]]:
    """The tokens, merges and, of all but special ones, scores of a document. Raises ModelError where they are none."""
    model = document.get("model") if isinstance(document, dict) else None
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    scores: list[float] = []
    if kind == "unigram" and isinstance(vocabulary, list):
        vocabulary, scores = _scored(vocabulary)
    if not isinstance(model, dict) or not isinstance(vocabulary, dict):
        raise ModelError("tokenizer.json must be a tokenizer file, got one without a vocabulary")
    if [type(number) for number in vocabulary.values()] != [int] * len(vocabulary) or sorted(
        vocabulary.values()
    ) != list(range(len(vocabulary))):
        raise ModelError(f"tokenizer.json must number its tokens 0 to {len(vocabulary) - 1:,}, each once")
    first = special(kind)
    if [vocabulary.get(token) for token in first] != list(range(len(first))):
        raise ModelError(f"tokenizer.json must begin with {' '.join(first)}")
    merges = [] if kind in ("word", "wordpiece", "unigram") else model.get("merges")
    known = isinstance(merges, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        and {pair[0], pair[1], pair[0] + pair[1]} <= vocabulary.keys()
        for pair in merges
    )  # fmt: skip
    if not known:
        raise ModelError("tokenizer.json must merge pairs of its tokens into tokens, got another merge")
    return vocabulary, [(one, other) for one, other in merges or []], scores[len(first) :]


def _scored(pairs: list[Any]) -> tuple[dict[str, int], list[float]]:
    """Pieces by row, and their scores. Raises ModelError where they are none."""
    known = all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], (int, float))
        and math.isfinite(pair[1])
        for pair in pairs
    )  # fmt: skip
    rows = {piece: row for row, (piece, _) in enumerate(pairs)} if known else {}
    if not rows or len(rows) < len(pairs):
        raise ModelError("tokenizer.json must give each piece once, with its score, got another vocabulary")
    return rows, [float(score) for _, score in pairs]


def _agree(theirs: Any, ours: Any) -> bool:
    """Whether nothing in `theirs` is other than in `ours`; a newer library may write more than an older one did."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return theirs.keys() <= ours.keys() and all(_agree(value, ours[key]) for key, value in theirs.items())
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(map(_agree, theirs, ours))
    return type(theirs) is type(ours) and theirs == ours


def _without_vocabulary(document: dict[str, Any]) -> dict[str, Any]:
    model = {key: value for key, value in document["model"].items() if key not in ("vocab", "merges")}
    return {**document, "model": model}


def _keeping_words(
    pieces: tokenizers.Tokenizer, texts: Sequence[str], vocab_size: int, min_frequency: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary with every word seen often enough as one token, and no piece of the letters a to z.

    What such a piece says of a rare word is noise to a model that is trained on few texts; one [UNK] says the word is
    rare, and training texts hold enough of them to learn what that means.
    """
    counter = tokenizers.Tokenizer(models.WordLevel(unk_token=SPECIAL[UNK]))
    counter.normalizer, counter.pre_tokenizer = pieces.normalizer, pieces.pre_tokenizer
    counter.train_from_iterator(texts, _word_trainer(vocab_size, min_frequency, special=[]))
    model = json.loads(pieces.to_str())["model"]
    merges = [(one, other) for one, other in model["merges"] if not _latin(one + other)]
    kept = [token for token in _in_order(model["vocab"]) if token in SPECIAL or not _latin(token)]
    # A letter alone would let every word of letters be spelled.
    known = set(kept)
    often = _in_order(counter.get_vocab())
    words = [word for word in often if word not in known and not (_latin(word) and len(word) == 1)]
    tokens = [*kept, *words][:vocab_size]
    return {token: number for number, token in enumerate(tokens)}, merges


def _with_reserve(
    backend: tokenizers.Tokenizer, kind: str, lowercase: bool, vocab_size: int, reserve: Sequence[str]
) -> tokenizers.Tokenizer:
    model = json.loads(backend.to_str())["model"]
    vocabulary = dict(model["vocab"])
    cut = backend_of(kind, lowercase)
    for word in reserve:
        if len(vocabulary) >= vocab_size:
            break
        text = cut.normalizer.normalize_str(word) if cut.normalizer else word
        tokens = [token for token, _ in cut.pre_tokenizer.pre_tokenize_str(text)]
        if len(tokens) == 1:
            vocabulary.setdefault(tokens[0], len(vocabulary))
    merges = [(one, other) for one, other in model.get("merges", [])]
    return backend_of(kind, lowercase, vocabulary, merges)


def _in_order(vocabulary: dict[str, int]) -> list[str]:
    return sorted(vocabulary, key=lambda token: vocabulary[token])


def _latin(token: str) -> bool:
    """Whether a letter a to z is in it, or the space that only words of such letters have."""
    return any(character == "Ġ" or (character.isascii() and character.isalpha()) for character in token)
