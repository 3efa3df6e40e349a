"""`README.md` of a run folder: the model card, with every figure's interval and what the model is not."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from .._version import __version__
from ..config import Config
from ..report import percent, shown, with_interval


def _made_of(config: Config, kept_epoch: int) -> str:
    if config.model == "linear":
        return "TF-IDF of words and characters with logistic regression"
    return (
        f"{config.num_layers} layers of width {config.d_model}, `{config.positions}` positions, epoch "
        f"{kept_epoch} kept, texts cut at {config.max_seq_len} tokens"
    )


def _taught(data: Mapping[str, Any]) -> str:
    told = ""
    if "masked" in data:
        told += f", on hidden tokens first, those of {data['masked']['unlabelled']:,} unlabelled texts too"
    if "distilled" in data:
        told += f", on the answers of a teacher, to {data['distilled']['unlabelled']:,} unlabelled texts too"
    return told


def render(data: Mapping[str, Any], config: Config, parameters: int) -> str:
    """The card as Markdown."""
    metrics, baseline, rows = data["metrics"], data["baselines"]["tfidf_lr"], data["rows"]
    names = [shown(label, 40).replace("`", "'") for label in data["confusion"]["labels"]]
    labels = ", ".join(f"`{name}`" for name in names)
    leaks = data["leaks"]["rows"]
    return f"""---
library_name: scriptchain
pipeline_tag: text-classification
---
# {escape(shown(Path(data["model"]).name, 100))}

A text classifier with {len(data["confusion"]["labels"])} classes: {labels}.

| | accuracy | macro-F1 |
|---|---|---|
| this model | {with_interval(metrics["accuracy"])} | {with_interval(metrics["macro_f1"])} |
| TF-IDF + logistic regression | {with_interval(baseline["accuracy"])} | {with_interval(baseline["macro_f1"])} |
| majority class | {with_interval(data["baselines"]["majority"]["accuracy"])} | \
{with_interval(data["baselines"]["majority"]["macro_f1"])} |

Measured once on {sum(row["support"] for row in data["per_class"].values()):,} test rows, 95 % bootstrap intervals. \
{leaks:,} of them stand in the training set. Calibration error: {with_interval(metrics["calibration_error"])}.
Shuffling the words of each text costs {data["data_needs_order"]["value"]:.1f} points of accuracy and changes \
{percent(data["model_uses_order"]["flip_rate"])} of the labels.

## Training

{rows["train"]:,} training rows, {rows["validation"]:,} validation rows. Preset `{config.preset}`, seed {config.seed}, \
{_made_of(config, data["kept_epoch"])}, {parameters:,} parameters{_taught(data)}. Logits are divided \
by {data["temperature"]:.2f}, the temperature of the validation rows, folded into the weights. \
All settings are in `config.json`.

## Use

```sh
scriptchain predict . "a text"
```

```python
from scriptchain import Classifier

Classifier.from_pretrained(".").predict(["a text"])
```

## Limits

It knows its own classes only and always names one of them. Its figures hold for texts like those it was tested on. \
`manifest.json` holds the SHA-256 of every file that loading reads. Written by scriptchain {__version__}.
"""
