"""A run folder on disk: a manifest with the SHA-256 of every file that loading reads, and nothing that can run.

model.safetensors  weights            config.json     closed schema      labels.json        class names
model.onnx         the same, to run   tokenizer.json  vocabulary         fingerprints.bin   training texts' keys
baseline.*         TF-IDF + logistic regression                          manifest.json      hashes of all these
"""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from .. import config as configs
from .._version import __version__
from ..config import Config
from ..data.labels import Labels
from ..data.text import fingerprint, leak_key
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, ModelError, ResourceError
from .linear import Linear

FORMAT = 1
FILES = (
    "baseline.json", "baseline.safetensors", "config.json", "fingerprints.bin", "labels.json", "model.onnx",
    "model.safetensors", "tokenizer.json",
)  # fmt: skip


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`files` maps each file's name to its SHA-256."""

    format: int
    scriptchain: str
    files: dict[str, str]


class Bundle:
    """Reads a run folder; every file is checked against the manifest on the very bytes that are used.

    *Raises*: ModelError naming the file and what is wrong with it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise ModelError(f"the model must be a run folder, got {str(folder)!r}, which {what}",
                             hint="scriptchain train FILE --output DIR")  # fmt: skip
        try:
            self.manifest = msgspec.json.decode(self._bytes("manifest.json"), type=Manifest)
        except msgspec.DecodeError as error:
            raise ModelError(f"{folder / 'manifest.json'} must be a manifest of scriptchain ({error})") from None
        if self.manifest.format != FORMAT:
            newer = "upgrade scriptchain" if self.manifest.format > FORMAT else "train it again"
            raise ModelError(f"{folder}: the format must be {FORMAT}, got {self.manifest.format}", hint=newer)

    def read(self, name: str) -> bytes:
        """The bytes of a file that the manifest names, hash checked."""
        content = self._bytes(name)
        if hashlib.sha256(content).hexdigest() != self.manifest.files.get(name):
            raise ModelError(
                f"{self.folder / name} must be the file that training wrote, got another SHA-256 than manifest.json",
                hint="copy the whole run folder again, or train again",
            )
        return content

    @cached_property
    def config(self) -> Config:
        try:
            return configs.make(msgspec.json.decode(self.read("config.json"), type=dict))
        except (msgspec.DecodeError, ConfigError) as error:
            raise ModelError(f"{self.folder / 'config.json'}: {error}") from None

    @cached_property
    def labels(self) -> Labels:
        labels = Labels.from_json(self.read("labels.json"))
        if len(labels) != self.config.num_classes:
            raise ModelError(
                f"{self.folder / 'labels.json'} must name {self.config.num_classes} classes, as config.json says, "
                f"got {len(labels)}"
            )
        return labels

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return tokenizer_from(self.read("tokenizer.json"), self.config)

    @cached_property
    def baseline(self) -> Linear:
        return Linear.load(self.read("baseline.safetensors"), self.read("baseline.json"))

    def saw(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts stand in the training set, by leak key."""
        content = self.read("fingerprints.bin")
        if len(content) % 8:
            raise ModelError(f"{self.folder / 'fingerprints.bin'} must hold 8 bytes a text, got {len(content)} bytes")
        seen = np.frombuffer(content, dtype="<u8")
        return np.isin(fingerprints(texts), seen)

    def _bytes(self, name: str) -> bytes:
        path = self.folder / name
        try:
            # Judged inside the resolved folder, so that a run folder may itself be reached through a link.
            inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))
            if not (inside and stat.S_ISREG(os.stat(path).st_mode)):
                raise ModelError(f"{path} must be a plain file inside the run folder")
            return path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path} must exist in a run folder", hint="scriptchain train FILE --output DIR") from None
        except PermissionError:
            raise ResourceError(f"{path} must be readable", hint=f"chmod +r {path}") from None
        except OSError as error:  # a link to itself, a name that is no name
            if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG):
                raise
            raise ModelError(f"{path} must be a plain file inside the run folder") from None


def tokenizer_from(document: bytes, config: Config) -> Tokenizer:
    return Tokenizer.from_json(
        document.decode("utf-8", errors="replace"), max_seq_len=config.max_seq_len, with_cls=config.pooling == "cls"
    )


def fingerprints(texts: Sequence[str]) -> NDArray[np.uint64]:
    """One 64-bit number a text, equal for texts that the leak check calls the same."""
    return np.fromiter((fingerprint(leak_key(text)) for text in texts), dtype="<u8", count=len(texts))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files that loading reads, then the manifest that seals them."""
    for name, content in files.items():
        assert name in FILES, name
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    manifest = Manifest(format=FORMAT, scriptchain=__version__, files=hashes)
    (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
