"""A model to and from Hugging Face's hub, by name: what arrives is what left, byte for byte, or nothing.

The manifest is what both ends trust: its hashes are checked before anything is sent, and on what came before it takes
its name. Nothing else is sent than what the manifest names, the manifest, the card and the report.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .. import durable
from .._version import __version__
from ..errors import MissingExtraError, ModelError, ResourceError, ScriptChainError, UsageError, first_line
from ..report import shown
from .bundle import FILES, Bundle
from .session import Session

TOLD = ("manifest.json", "README.md", "report.json")
_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)
Found = TypeVar("Found")


def push(folder: Path, name: str, *, private: bool) -> str:
    """Sends a run folder or an export; the revision that it is there. What stood there of an earlier one is removed.

    *Raises*: UsageError for another kind of name; ModelError for a folder that is not whole; ResourceError where the
    hub does not take it; MissingExtraError.
    """
    repository, revision = _parts(name)
    if revision is not None:
        raise UsageError(f"a model must be pushed without a revision, got {name!r}", hint=f"hf:{repository}")
    bundle = Bundle(folder)
    bundle.sizes()
    hub = _hub(name)
    _asked(name, "pushed", lambda: hub.create_repo(repository, private=private, exist_ok=True))
    sent = _asked(
        name, "pushed",
        lambda: hub.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=[*bundle.manifest.files, *TOLD],
            delete_patterns=list(FILES), commit_message=f"scriptchain {__version__}",
        ),
    )  # fmt: skip
    return str(sent.oid)


def pull(name: str, output: Path) -> None:
    """Brings a model; it takes its name, over what stood there, when every hash is right and it answers.

    *Raises*: as `push`.
    """
    repository, revision = _parts(name)
    hub = _hub(name)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", suffix=durable.TEMPORARY, dir=output.parent) as place:
        folder = Path(place) / output.name
        _asked(
            name, "pulled",
            lambda: hub.snapshot_download(
                repository, revision=revision, allow_patterns=[*FILES, *TOLD], local_dir=folder
            ),
        )  # fmt: skip
        made = Path(place) / "model"
        made.mkdir()
        for file in (*FILES, *TOLD):
            if (folder / file).is_file():
                (folder / file).rename(made / file)
        try:
            Bundle(made).sizes()
            Session(made, threads=1).logits(["a text"])
        except ScriptChainError as error:
            raise ModelError(f"{name} must be a model of scriptchain ({error.message.replace(place, '')})") from None
        durable.publish(made, output)


def _parts(name: str) -> tuple[str, str | None]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"the name must be hf:OWNER/NAME, got {shown(name)!r}", hint="hf:my-name/my-model")
    return found[1], found[2]


def _hub(name: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError(f"{name} (huggingface_hub)", "hf") from None
    return huggingface_hub


def _asked(name: str, what: str, ask: Callable[[], Found]) -> Found:
    try:
        return ask()
    except Exception as error:  # of the network, of the disk, of rights, of a name that nobody has
        hint = "hf auth login, or HF_TOKEN" if "401" in str(error) or "403" in str(error) else None
        raise ResourceError(f"{name} cannot be {what} ({first_line(error)})", hint=hint) from None
