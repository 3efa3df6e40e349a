"""Tokenizers of another model's vocabulary, cut down to what some texts need and a reserve.

First stay the characters, so that what could be spelled still can; then what the texts need, the most frequent first;
then the first of the others, as a reserve for texts that are not here. Pieces keep the order in which they were given.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import tokenizers
from tokenizers import pre_tokenizers

from .text import model_text
from .tokenizer import SEP, SPECIAL, Tokenizer, backend_of, special

OWN = [*SPECIAL, SEP]


def of_pieces(
    pieces: Sequence[str], texts: Iterable[str], *, vocab_size: int, lowercase: bool, max_seq_len: int, with_cls: bool
) -> Tokenizer:
    """`wordpiece` of at most `vocab_size` of these pieces."""
    # "[MASK]" and "[unused7]" are what no text is cut into: brackets are pieces of their own.
    others = [piece for piece in dict.fromkeys(pieces) if len(piece) == 1 or not piece.startswith("[")]

    def backend(some: Sequence[str]) -> tokenizers.Tokenizer:
        return backend_of("wordpiece", lowercase, _rows([*OWN, *some]))

    counts = _counted(backend(others), map(model_text, texts), OWN)
    kept = _first(others, vocab_size - len(OWN), lambda n: (len(others[n].removeprefix("##")) > 1, -counts[n], n))
    return Tokenizer(backend(kept), max_seq_len=max_seq_len, cls=with_cls)


def of_merges(
    pieces: Sequence[str], merges: Sequence[tuple[str, str]], texts: Iterable[str], *, vocab_size: int,
    max_seq_len: int, with_cls: bool,
) -> Tokenizer:  # fmt: skip
    """`roberta` of at most `vocab_size` of these pieces.

    With a piece stay the two that it is merged of, and so on down to bytes, so that every text which the pieces suffice
    for is cut as before.
    """
    parts = {one + other: (one, other) for one, other in merges}
    letters = set(pre_tokenizers.ByteLevel.alphabet())
    others = [piece for piece in dict.fromkeys(pieces) if piece in letters or piece in parts]
    whole = backend_of("roberta", False, _rows([*OWN, *others]), merges)
    counts = _counted(whole, map(model_text, texts), OWN)
    kept = {piece for piece in others if piece in letters}

    def made_of(piece: str) -> set[str]:
        return set() if piece in kept else {piece}.union(*map(made_of, parts[piece]))

    for number in sorted(range(len(others)), key=lambda n: (-counts[n], n)):
        more = made_of(others[number])
        if len(OWN) + len(kept) + len(more) <= vocab_size:
            kept |= more
    rows = _rows([*OWN, *(piece for piece in others if piece in kept)])
    backend = backend_of("roberta", False, rows, [pair for pair in merges if pair[0] + pair[1] in kept])
    return Tokenizer(backend, max_seq_len=max_seq_len, cls=with_cls)


def of_scores(
    scores: Mapping[str, float], texts: Iterable[str], *, without: Collection[str], vocab_size: int, max_seq_len: int,
    with_cls: bool,
) -> Tokenizer:  # fmt: skip
    """`unigram` of at most `vocab_size` of these pieces, by their scores; no text is cut into one of `without`.

    Of the characters stay those that the texts hold: a hundred languages have too many. A text whose pieces all stay is
    cut as before.
    """
    own = special("unigram")
    others = [piece for piece in scores if piece not in without and " " not in piece]

    def backend(some: Sequence[str]) -> tokenizers.Tokenizer:
        return backend_of("unigram", False, _rows([*own, *some]), (), [scores[piece] for piece in some])

    cleaned = [model_text(text) for text in texts]
    counts = _counted(backend(others), cleaned, own)
    rarest = min(scores[piece] for piece in others)  # by which the cost of an unknown letter goes
    letters = {"", *unicodedata.normalize("NFKC", "".join(cleaned))}

    def rank(number: int) -> tuple[bool, int, int]:
        needed = others[number].removeprefix("▁") in letters or scores[others[number]] == rarest
        return not needed, -counts[number], number

    kept = _first(others, vocab_size - len(own), rank)
    return Tokenizer(backend(kept), max_seq_len=max_seq_len, cls=with_cls)


def _rows(pieces: Iterable[str]) -> dict[str, int]:
    return {piece: row for row, piece in enumerate(pieces)}


def _counted(backend: tokenizers.Tokenizer, cleaned: Iterable[str], own: Sequence[str]) -> Counter[int]:
    """How often each piece stands in the texts, by its number behind `own`."""
    encodings = backend.encode_batch_fast(list(cleaned), add_special_tokens=False)
    return Counter(row - len(own) for encoding in encodings for row in encoding.ids)


def _first(others: Sequence[str], room: int, rank: Callable[[int], tuple[bool, int, int]]) -> list[str]:
    """Of those for which there is room, the lowest by rank, in their own order."""
    return [others[number] for number in sorted(sorted(range(len(others)), key=rank)[: max(0, room)])]
