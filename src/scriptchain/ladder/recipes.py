"""The recipe of each rung, and what its training takes at most; rungs whose weights are not there are left out."""

import time

from .. import config as configs
from ..classifier import Classifier
from ..data.labels import Labels
from ..errors import ConfigError
from .parts import Part

FEW_A_CLASS = 100  # texts to learn from, on average, up to which `few` is tried; it was measured at 8 and 64
TRIED = 500  # rows that the linear model's time is foreseen from


def recipe(name: str, seed: int) -> configs.Config:
    """The config of a rung; a student is `static` where its vectors are there. Its targets are soft already."""
    if name != "student":
        return configs.resolve(name, overrides={"seed": seed})
    student = "small" if missing("static", seed) else "static"
    return configs.resolve(student, overrides={"seed": seed, "label_smoothing": 0.0})


def unfitted(config: configs.Config, device: str, threads: int | None = None) -> Classifier:
    values = configs.to_dict(config)
    return Classifier(values.pop("preset"), device=device, threads=threads, **values)


def foreseen(
    part: Part, labels: Labels, unlabelled: int, seed: int, device: str
) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of one training of each rung at most, cheapest kind first, and why others are left out."""
    from ..training.baseline import fit_baseline

    some = part.learn.sample(TRIED, seed)
    fit_baseline(["this one", "that other"], [0, 1], 2)  # loads scikit-learn, which is no part of a training
    start = time.perf_counter()
    numbers = labels.index(some.labels or [])
    fit_baseline(some.texts, numbers, len(labels), (some.texts, numbers))
    seconds = {"linear": (time.perf_counter() - start) * len(part.learn) / len(some)}
    left_out: dict[str, str] = {}
    few = ("few",) if len(part.learn) <= FEW_A_CLASS * len(labels) else ()
    for name in ("small", "static", "frozen", *few, "tuned"):
        why = missing(name, seed)
        if why:
            left_out[name] = why
        else:
            seconds[name] = unfitted(recipe(name, seed), device).seconds(part.learn)
            if name == "tuned":
                texts = 1 + unlabelled / len(part.learn)
                seconds["student"] = texts * (seconds.get("static", seconds["small"]) + seconds["frozen"])
    return seconds, left_out


def missing(name: str, seed: int) -> str | None:
    """What to install for a rung whose weights are not there."""
    from ..training.start import start_of

    try:
        start_of(recipe(name, seed))
    except ConfigError as error:
        return error.hint or error.message
    return None
