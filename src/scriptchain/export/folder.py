"""What a run folder holds: the files that loading reads, as data that cannot run, and the pages that people read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save as save_arrays
from safetensors.torch import save

from .. import config as configs
from ..config import Config
from ..data.labels import Labels
from ..data.tokenizer import Tokenizer
from ..model.pipeline import Network
from ..report import Report
from ..runtime.bundle import FAMILIARITY, fingerprints
from ..runtime.linear import Linear
from ..scoring.familiarity import Familiarity
from .card import render as render_card
from .onnx import to_onnx, verify
from .page import render as render_page
from .pictures import draw_all

VERIFIED_ROWS = 64


def model_files(
    config: Config, labels: Labels, tokenizer: Tokenizer, network: Network, texts: Sequence[str], baseline: Linear,
    held_out: Familiarity | None,
) -> dict[str, bytes]:  # fmt: skip
    """Each file's name and bytes. Raises ScriptChainError if the ONNX model does not answer as the network does."""
    onnx = to_onnx(network, tokenizer)
    verify(onnx, network, tokenizer, texts[:VERIFIED_ROWS])
    return linear_files(config, labels, texts, baseline, held_out) | {
        "model.onnx": onnx,
        "model.safetensors": save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}),
        "tokenizer.json": tokenizer.to_json().encode(),
    }


def linear_files(
    config: Config, labels: Labels, texts: Sequence[str], linear: Linear, held_out: Familiarity | None
) -> dict[str, bytes]:
    """The same of a linear model, which is its own baseline."""
    resolved = configs.replace(config, num_classes=len(labels.names))
    files = linear.files() | {
        "config.json": msgspec.json.format(msgspec.json.encode(configs.to_dict(resolved)), indent=1) + b"\n",
        "fingerprints.bin": np.unique(fingerprints(texts)).astype("<u8").tobytes(),
        "labels.json": labels.to_json(),
    }
    if held_out is not None:
        files[FAMILIARITY] = save_arrays({"energy": held_out.energy, "surprise": held_out.surprise})
    return files


def write_report(
    folder: Path, report: Report, config: Config, network: Network | None, parameters: int,
    history: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    """Adds what people read to a run folder: report.json, report.html, history.jsonl, README.md and the pictures."""
    (folder / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in history), "utf-8")
    (folder / "report.json").write_text(report.to_json(indent=1) + "\n", "utf-8")
    drawn = draw_all(folder, network, history, report.data, name=config.positions)
    (folder / "report.html").write_text(render_page(report, folder, drawn), "utf-8")
    (folder / "README.md").write_text(render_card(report.data, config, parameters), "utf-8")
