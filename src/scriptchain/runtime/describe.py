"""What a run folder says about itself."""

import json
from pathlib import Path

from .. import config as configs
from ..errors import ModelError
from ..report import Report, Table, shown, with_interval
from .bundle import Bundle

_HINT = "remove it; the model does not need it"


def describe(folder: Path) -> Report:
    """Classes, config, file sizes and, where training left them, its figures. Every file's hash is checked.

    *Raises*: ModelError for a folder that is not one of ours or was changed since it was written.
    """
    bundle = Bundle(folder)
    sizes = bundle.sizes()
    config, parameters = configs.to_dict(bundle.config), bundle.num_parameters
    trained = _trained(folder / "report.json")
    data = {
        "model": str(folder),
        "scriptchain": bundle.manifest.scriptchain,
        "format": bundle.manifest.format,
        "classes": list(bundle.labels.names),
        "vocabulary": _vocabulary(bundle),
        "parameters": parameters,
        "config": config,
        "bytes": sizes,
        **({} if trained is None else {key: trained.get(key) for key in ("rows", "metrics", "metrics_split")}),
    }
    names = bundle.labels.names
    meant = config if bundle.config.model == "encoder" else configs.LINEAR
    learned = "exported" if parameters is None else f"{parameters:,} parameters"
    body: list[Table | str] = [
        f"{learned}; {len(names)} classes: {', '.join(shown(name, 40) for name in names[:20])}"
        f"{' ...' if len(names) > 20 else ''}",
        Table("config", ["key", "value"], [[key, str(config[key])] for key in meant]),
        Table("files", ["file", "bytes"], [[name, size] for name, size in sizes.items()]),
    ]
    if trained is not None and isinstance(trained.get("metrics"), dict):
        try:
            scores = [[name, with_interval(metric)] for name, metric in trained["metrics"].items()]
        except (KeyError, TypeError, ValueError):
            raise ModelError(
                f"{folder / 'report.json'} must give each metric as value, low and high", hint=_HINT
            ) from None
        body.append(Table(f"scores on the {trained.get('metrics_split')} split", ["score", "value"], scores))
    return Report(f"{folder}: written by scriptchain {bundle.manifest.scriptchain}, all hashes right", data, body)


def _vocabulary(bundle: Bundle) -> int:
    """Tokens, or n-grams of a linear model."""
    if bundle.config.model == "encoder":
        return bundle.tokenizer.vocab_size
    words, characters = bundle.baseline, bundle.baseline.characters
    return len(words.vocabulary) + (0 if characters is None else len(characters.vocabulary))


def _trained(path: Path) -> dict | None:
    """report.json, which is for reading only and not sealed by the manifest."""
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise ModelError(f"{path} must be JSON", hint=_HINT) from None
    return document if isinstance(document, dict) else None
