"""What a text is to the model, and what two texts have in common when they are "the same"."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b, sha256
from typing import Any

_JOINERS = "\u200c\u200d"  # emoji sequences and the scripts of India and Iran are misspelled without them
# Behind a Latin, Greek or Cyrillic letter, a mark of theirs, a digit, a space or nothing, they spell nothing.
_NEEDLESS = re.compile(r"(?:^|(?<=[\u0000-\u052f\u1e00-\u1fff]))[\u200c\u200d]+")
_REPLACEMENT = "\ufffd"


def model_text(text: str) -> str:
    """The text as the model reads it: NFC, no control or invisible characters, single spaces, none around it."""
    if not text.isprintable():  # the usual text is, and nothing has to be taken out of it
        text = text.translate(_VISIBLE)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if any(joiner in text for joiner in _JOINERS):
            text = unicodedata.normalize("NFC", _NEEDLESS.sub("", text))
    return " ".join(text.split())


def leak_key(text: str) -> str:
    """The text with compatibility forms, case, punctuation and invisible characters ignored.

    Two texts with one key are the same text to a test set. Symbols and emoji stay, and a text of
    nothing but punctuation is its own key, so that no visible text has an empty one.
    """
    text = model_text(text)
    if text.isascii():
        return " ".join(text.lower().translate(_WITHOUT_PUNCTUATION).split()) or text
    # Two characters that a mark kept apart may compose, and a composed one may hold a mark: twice is enough.
    for _ in range(3):
        text = _without_marks(_folded(text))
        if text == _folded(text):
            break
    return text


def fingerprint(key: str) -> int:
    """64 bits of BLAKE2b as an unsigned integer, the same on every machine."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _without_marks(text: str) -> str:
    return " ".join(text.translate(_WITHOUT_PUNCTUATION).split()) or " ".join(text.split())


class _Table(dict[int, str | None]):
    """A table for `str.translate` that asks about each character once."""

    def __init__(self, answer: Callable[[str], str | None]):
        super().__init__()
        self._answer = answer

    def __missing__(self, code: int) -> str | None:
        self[code] = answer = self._answer(chr(code))
        return answer


def _visible(character: str) -> str | None:
    category = unicodedata.category(character)
    if category == "Cs":
        return _REPLACEMENT
    if character.isspace():  # before the control characters: a line break must not glue two words
        return " "
    return None if category == "Cc" or (category == "Cf" and character not in _JOINERS) else character


def _without_punctuation(character: str) -> str | None:
    category = unicodedata.category(character)
    return None if category == "Cf" or category[0] == "P" else character


_VISIBLE = _Table(_visible)
_WITHOUT_PUNCTUATION = _Table(_without_punctuation)


class _Streamed(list[str]):
    """What JSON takes for a list and reads item by item, so that texts on the disk are never all in memory."""

    def __init__(self, texts: Sequence[str]):
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)


def digest(document: Any) -> str:
    """SHA-256 of a document as JSON, in hexadecimal; a million texts in it are never one string, nor one list."""
    found = sha256()
    for part in json.JSONEncoder(default=_Streamed).iterencode(document):
        found.update(part.encode())
    return found.hexdigest()
