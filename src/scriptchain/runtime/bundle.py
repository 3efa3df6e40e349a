"""A run folder on disk: a manifest with the SHA-256 of every file that loading reads, and nothing that can run.

Each file is opened once; what is judged, hashed and used are the same bytes, whatever happens to the folder meanwhile.

model.safetensors  weights            config.json     closed schema      labels.json        class names
model.onnx         the same, to run   tokenizer.json  vocabulary         fingerprints.bin   training texts' keys
baseline.*         TF-IDF + logistic regression                          manifest.json      hashes of all these
familiarity.*      what held-out texts were like, where there were any

A linear model is its own baseline: there are no weights, no ONNX file and no vocabulary then. An exported model has
model.onnx, tokenizer.json, config.json and labels.json alone: what answers, nothing that judges it.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from .. import config as configs
from .. import durable
from .._version import __version__
from ..config import Config
from ..data.labels import Labels
from ..data.text import fingerprint, leak_key
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, ModelError, ResourceError, UsageError
from ..report import shown
from ..scoring.familiarity import Familiarity
from . import tensors
from .documents import parsed
from .linear import Linear

FORMAT = 1
FAMILIARITY = "familiarity.safetensors"
DOCUMENT, LONG_DOCUMENT = 2**20, 2**30  # bytes: a config or a manifest; a vocabulary or the names of many classes
FILES = (
    "baseline.json", "baseline.safetensors", "config.json", "familiarity.safetensors", "fingerprints.bin",
    "labels.json", "model.onnx", "model.safetensors", "tokenizer.json",
)  # fmt: skip

JUDGES = ("baseline.json", "baseline.safetensors", "fingerprints.bin", "model.safetensors")  # that an export leaves out


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
        path = folder / "manifest.json"
        document = parsed(self._bytes("manifest.json"), str(path), DOCUMENT)
        if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] != FORMAT:
            found = document["format"]  # told before the rest is judged: another format has other keys
            newer = "upgrade scriptchain" if found > FORMAT else "train it again"
            raise ModelError(f"{folder}: the format must be {FORMAT}, got {found}", hint=newer)
        try:
            self.manifest = msgspec.convert(document, Manifest)
        except msgspec.ValidationError as error:
            raise ModelError(f"{path} must be a manifest of scriptchain ({shown(str(error), 200)})") from None
        unknown = sorted(set(self.manifest.files) - set(FILES))
        if unknown:
            raise ModelError(f"{path} must name files of a run folder, got {unknown[0][:80]!r}")
        missing = [name for name in JUDGES if not self.has(name)]
        if self.has("model.onnx") and 0 < len(missing) < len(JUDGES):
            raise ModelError(f"{path} must name all files of a run folder, got none of the name {missing[0]}")

    def has(self, name: str) -> bool:
        return name in self.manifest.files

    @property
    def id(self) -> str:
        """Which model it is: a hash of what the manifest names."""
        content = "".join(f"{name} {self.manifest.files[name]}\n" for name in sorted(self.manifest.files))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def sizes(self) -> dict[str, int]:
        """The bytes of every file that the manifest names, each read and its hash checked."""
        return {name: len(self.read(name)) for name in self.manifest.files}

    def read(self, name: str) -> bytes:
        """The bytes of a file that the manifest names, hash checked."""
        if name in JUDGES and not self.has(name):
            raise ModelError(f"{self.folder} must be a whole run folder, got an export without {name}",
                             hint="the run folder that it was made from")  # fmt: skip
        content = self._bytes(name)
        if hashlib.sha256(content).hexdigest() != self.manifest.files.get(name):
            raise ModelError(
                f"{self.folder / name} must be the file that training wrote, got another SHA-256 than manifest.json",
                hint="copy the whole run folder again, or train again",
            )
        return content

    @cached_property
    def config(self) -> Config:
        path = self.folder / "config.json"
        values = parsed(self.read("config.json"), str(path), DOCUMENT)
        if not isinstance(values, dict):
            raise ModelError(f"{path} must be an object, got {type(values).__name__}")
        try:
            return configs.make(values)
        except ConfigError as error:
            raise ModelError(f"{path}: {error}") from None

    @cached_property
    def labels(self) -> Labels:
        labels = Labels.from_names_in_order(parsed(self.read("labels.json"), "labels.json", LONG_DOCUMENT))
        if len(labels) != self.config.num_classes:
            raise ModelError(
                f"{self.folder / 'labels.json'} must name {self.config.num_classes} classes, as config.json says, "
                f"got {len(labels)}"
            )
        return labels

    @cached_property
    def tokenizer(self) -> Tokenizer:
        if self.config.model == "linear":
            raise ModelError(f"{self.folder} must hold an encoder, which has tokens and layers, got a linear model")
        return tokenizer_from(self.read("tokenizer.json"), self.config)

    @cached_property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The network's tensors by name."""
        return tensors.read(self.read("model.safetensors"), "model.safetensors")

    @cached_property
    def baseline(self) -> Linear:
        linear = Linear.load(self.read("baseline.safetensors"), self.read("baseline.json"))
        if linear.num_classes != len(self.labels):
            raise ModelError(f"the baseline must score {len(self.labels)} classes, got {linear.num_classes}")
        return linear

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """None where nothing was held out of training."""
        if not self.has(FAMILIARITY):
            return None
        found = tensors.read(self.read(FAMILIARITY), FAMILIARITY)
        rows = found["energy"].shape[:1] if "energy" in found else (1,)
        tensors.check_names(found, {"energy": rows, "surprise": rows}, FAMILIARITY)
        if not rows[0]:
            raise ModelError(f"{FAMILIARITY} must hold a number a held-out text, got none")
        return Familiarity(found["energy"], found["surprise"])

    @property
    def num_parameters(self) -> int | None:
        """How many numbers the model has learned; an exported one does not tell them from its constants."""
        if self.config.model == "linear":
            return self.baseline.num_parameters
        if not self.has("model.safetensors"):
            return None
        return sum(tensor.size for tensor in self.weights.values())

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
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not wait for a writer
        except FileNotFoundError:
            raise ModelError(f"{path} must exist in a run folder", hint="scriptchain train FILE --output DIR") from None
        except PermissionError:
            raise ResourceError(f"{path} must be readable", hint=f"chmod +r {path}") from None
        except OSError as error:  # a link to itself, a name that is no name, a socket
            if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENXIO):
                raise
            raise self._odd(path) from None
        try:
            found = os.fstat(handle)
            # Judged inside the resolved folder, so that a run folder may itself be reached through a link.
            inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))
            if not inside or not stat.S_ISREG(found.st_mode):
                raise self._odd(path)
            if found.st_nlink > 1:
                raise ModelError(f"{path} must have one name, got {found.st_nlink} hard links",
                                 hint="copy the run folder: cp -r, without links")  # fmt: skip
            content = b"".join(iter(partial(os.read, handle, found.st_size + 1), b""))
        finally:
            os.close(handle)
        if len(content) != found.st_size:
            raise ModelError(f"{path} must stay as it is while it is read, got another size")
        return content

    def _odd(self, path: Path) -> ModelError:
        return ModelError(f"{path} must be a plain file inside the run folder")


def check_output(output: Path, force: bool) -> None:
    """Raises UsageError for a folder that a run may not take the place of."""
    if not output.exists():
        return
    if not force:
        raise UsageError(f"--output must not exist yet, got {str(output)!r}", hint="--force replaces it")
    if not output.is_dir() or (any(output.iterdir()) and not (output / "manifest.json").exists()):
        raise UsageError(f"--force replaces run folders only, got {str(output)!r}", hint="choose another --output")


def tokenizer_from(document: bytes, config: Config) -> Tokenizer:
    """The tokenizer that config.json describes, with the file's vocabulary."""
    return Tokenizer.from_json(
        parsed(document, "tokenizer.json", LONG_DOCUMENT), kind=config.tokenizer, lowercase=config.lowercase,
        max_seq_len=config.max_seq_len, with_cls=config.starts_with_cls,
    )  # fmt: skip


def fingerprints(texts: Sequence[str]) -> NDArray[np.uint64]:
    """One 64-bit number a text, equal for texts that the leak check calls the same."""
    return np.fromiter((fingerprint(leak_key(text)) for text in texts), dtype="<u8", count=len(texts))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files that loading reads, each whole or not there, then the manifest that seals them.

    *Raises*: OSError; without its manifest the folder is refused.
    """
    for name, content in files.items():
        assert name in FILES, name
        durable.write(folder / name, content)
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    manifest = Manifest(format=FORMAT, scriptchain=__version__, files=hashes)
    durable.write(folder / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
