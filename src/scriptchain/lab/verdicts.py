"""From measurements to verdicts: HOLDS, DOES NOT HOLD or UNDECIDED, each with its number, interval and threshold."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .branches import Branches
from .collapse import Collapse
from .entropy import Attention
from .fitting import Fitting
from .gradients import Gradients
from .influence import Influence
from .intervals import UNKNOWN, Measured
from .kept import SHORTEST, Kept
from .layer_cost import LayerCost
from .order import Order
from .places import Places
from .thresholds import THRESHOLDS

HOLDS, DOES_NOT_HOLD, UNDECIDED = "HOLDS", "DOES NOT HOLD", "UNDECIDED"
IN_SCORES = 0.05  # order that moves answers this far though no probe reads a place: positions act inside attention
POSITION = ("position_absent", "position_diluted", "position_lost", "position_flooding", "order_unused",
            "order_not_needed")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """`says` is one sentence; `layer` counts from 1, 0 is what enters the first; `more` texts would decide."""

    name: str
    state: str
    measured: Measured
    says: str
    layer: int | None = None
    more: int | None = None

    def to_dict(self) -> dict[str, Any]:
        threshold = THRESHOLDS[self.name]
        return {
            "state": self.state, **self.measured._asdict(), "threshold": threshold.value, "side": threshold.side,
            "source": threshold.source, "says": self.says, "layer": self.layer, "more": self.more,
        }  # fmt: skip


@dataclass(frozen=True)
class Measurements:
    """Everything that was measured on one module; lists are by layer, those of streams with the input first."""

    texts: int
    trained: bool
    leak: Measured
    gradients: Gradients
    collapse: list[Collapse]
    branches: list[Branches]
    attention: list[Attention | None]
    places: list[Places] | None
    order: Order | None
    influence: list[Influence]
    likeness: tuple[float, tuple[int, int]]
    cost: LayerCost
    kept: Kept
    fitting: Fitting | None


def judge_all(seen: Measurements) -> list[Verdict]:
    return [*_signal(seen), *_attention(seen), *_position(seen), *_layers(seen), *_training(seen),
        of_cost(seen.cost.law, math.nan if seen.cost.exponent is None else seen.cost.exponent[0], seen.cost.margin),
        _of_memory(seen.kept),
    ]  # fmt: skip


def _signal(seen: Measurements) -> Iterator[Verdict]:
    yield _judge("padding_leak", seen.leak, seen.texts, "more padding moves the answers by {value:.2g} of the distance "
                 "between two texts")  # fmt: skip
    first = seen.gradients.stream[0]
    for name in ("stream_gradient_vanishing", "stream_gradient_exploding"):
        yield _judge(name, first, seen.texts, "the loss's gradient at the input is {value:.2g} of that at the last "
                     "layer", unknown="no gradient reaches the last layer")  # fmt: skip
    known = [(ratio, layer) for layer, ratio in enumerate(seen.gradients.attention, 1) if not math.isnan(ratio.value)]
    ratio, layer = min(known, default=(UNKNOWN, None))
    yield _judge("query_key_starvation", ratio, seen.texts, "queries and keys get {value:.2g} of the gradient of "
                 "values in layer {layer}", layer, unknown="no query and key weights with a gradient: their names are "
                 "not known, or every branch's gate is 0 (measure after some steps)")  # fmt: skip
    smallest = min(range(len(seen.collapse)), key=lambda at: seen.collapse[at].centered.value)
    one = seen.collapse[smallest]
    yield _judge("rank_collapse", one.centered, seen.texts, "tokens of a text differ in {value:.2g} of what differs at "
                 f"all after layer {{layer}} (cosine {one.cosine_within.value:.2f} within a text, "
                 f"{one.cosine_across:.2f} across texts)", smallest)  # fmt: skip
    tallest = max(range(len(seen.branches)), key=lambda at: seen.branches[at].peak)
    peak = seen.branches[tallest]
    yield _judge(
        "massive_activations",
        Measured(peak.peak, peak.peak, peak.peak),
        seen.texts,
        f"channel {peak.channel} reaches {{value:,.0f}} times the median after layer {{layer}}",
        tallest,
    )


def _attention(seen: Measurements) -> Iterator[Verdict]:
    known = [(one, layer) for layer, one in enumerate(seen.attention, 1) if one is not None]
    unknown = "no softmax over the keys was seen in any layer"
    if not known:
        for name in ("entropy_collapse", "attention_uniform", "attention_sink"):
            yield Verdict(name, UNDECIDED, UNKNOWN, unknown)
        return
    one, layer = min(known, key=lambda pair: pair[0].concentration.value)
    yield _judge("entropy_collapse", one.concentration, seen.texts, f"entropy is {one.entropy.value:.2f} of a uniform "
                 "look in layer {layer}, {value:.2f} times what condensed Gaussian logits have (spread "
                 f"{one.spread.value:.2g}, critical {one.critical:.2g})", layer)  # fmt: skip
    one, layer = min(known, key=lambda pair: pair[0].spread.value)
    yield _judge("attention_uniform", one.spread, seen.texts, "the logits of layer {layer} spread by {value:.2g}: "
                 f"entropy is {one.entropy.value:.4f} of a uniform look", layer)  # fmt: skip
    one, layer = max(known, key=lambda pair: pair[0].sink.value)
    yield _judge("attention_sink", one.sink, seen.texts, f"the {one.sink_place} token draws {{value:.2f}} of attention "
                 "of layer {layer} beyond a uniform look, mean over heads", layer)  # fmt: skip


def _position(seen: Measurements) -> Iterator[Verdict]:
    if seen.places is None or seen.order is None:
        for name in POSITION:
            yield Verdict(name, UNDECIDED, UNKNOWN, "inputs are vectors, which take their positions along when moved: "
                          "examine a module that takes token ids")  # fmt: skip
        return
    places, depth = seen.places, len(seen.places) - 1
    first, last = places[0], places[-1]
    absent = _judge("position_absent", first.probe, seen.texts, "a probe reads {value:.2f} of the places that enter "
                    "the first layer, beyond chance", 0)  # fmt: skip
    unused = _judge("order_unused", seen.order.distance, seen.texts, "permuted words move the answers by {value:.2g} "
                    "of what other words do", unknown="all words give the same answer")  # fmt: skip
    in_scores = absent.state == HOLDS and seen.order.distance.low > IN_SCORES
    if in_scores:
        says = f"{absent.says}, but order moves the answers: positions act inside attention"
        absent = Verdict("position_absent", DOES_NOT_HOLD, absent.measured, says, 0)
    yield absent
    kept = UNKNOWN if first.position.value <= 0 else last.position.scaled(1 / first.position.value)
    entered = absent.state == DOES_NOT_HOLD and not in_scores
    for name, measured, text in (
        ("position_diluted", kept, f"position is {100 * last.position.value:.1f} % of the variance after layer {depth},"
         f" {100 * first.position.value:.1f} % of what enters: {{value:.2f}} of it is kept"),
        ("position_lost", last.probe, f"a probe reads {{value:.2f}} of the places after layer {depth}, beyond chance"),
    ):  # fmt: skip
        if entered:
            yield _judge(name, measured, seen.texts, text, depth)
        else:
            yield Verdict(name, DOES_NOT_HOLD, measured, "no position enters the stream that depth could lose", depth)
    highest = max(range(len(places)), key=lambda at: places[at].position.value)
    flood = places[highest]
    flooding = _judge("position_flooding", flood.position, seen.texts, "position is {value:.2f} of the variance after "
                      f"layer {{layer}}, words {flood.content:.2f}", highest)  # fmt: skip
    if flooding.state == HOLDS and flood.content >= 0.05:
        flooding = Verdict("position_flooding", DOES_NOT_HOLD, flood.position, flooding.says, highest)
    yield flooding
    yield unused
    yield _needed(seen, seen.order, unused.state)


def _needed(seen: Measurements, order: Order, unused: str) -> Verdict:
    name, drop = "order_not_needed", order.drop
    if not seen.trained or math.isnan(drop.value):
        return Verdict(name, UNDECIDED, UNKNOWN, "needs trained weights and labels")
    if unused != DOES_NOT_HOLD:
        return Verdict(name, UNDECIDED, drop, "this model is blind to order: it cannot tell what the data need")
    if not order.accuracy.low > order.majority:
        return Verdict(name, UNDECIDED, drop, "this model is no better than the most frequent class")
    return _judge(name, drop, seen.texts, "permuted words cost {value:.3f} of the accuracy")


def _layers(seen: Measurements) -> Iterator[Verdict]:
    cosine, (one, other) = seen.likeness
    yield _judge("identical_layers", Measured(cosine, cosine, cosine), seen.texts, f"the matrices of layers {one} and "
                 f"{other} have a cosine of {{value:.4f}}")  # fmt: skip
    turns = [layer.turn.value for layer in seen.influence]
    usual = sum(turns) / len(turns)
    least = min(range(len(turns)), key=turns.__getitem__)
    share = UNKNOWN if usual == 0 else seen.influence[least].turn.scaled(1 / usual)
    if not seen.trained:
        yield Verdict("dead_layers", UNDECIDED, share, "needs trained weights: gates may start at 0 by design")
        return
    verdict = _judge("dead_layers", share, seen.texts, "layer {layer} turns the stream by {value:.2g} of the mean turn",
                     least + 1, unknown="no layer turns the stream")  # fmt: skip
    skip = seen.influence[least].skip
    if verdict.state == HOLDS and not skip.value < THRESHOLDS["order_unused"].value:
        says = f"{verdict.says}, but without it answers move by {skip.value:.2g}"
        verdict = Verdict("dead_layers", DOES_NOT_HOLD, share, says, least + 1)
    yield verdict


def _training(seen: Measurements) -> Iterator[Verdict]:
    fitting = seen.fitting
    if not seen.trained or fitting is None:
        for name in ("overfitting", "cannot_train"):
            yield Verdict(name, UNDECIDED, UNKNOWN, "needs trained weights and labels")
        return
    cannot = _judge("cannot_train", fitting.learned, seen.texts, f"{100 * fitting.accuracy.value:.1f} % of the texts "
                    f"are right, the most frequent class is {100 * fitting.majority:.1f} %: "
                    "{value:.2f} of what could be learned")  # fmt: skip
    if fitting.gap is None:
        yield Verdict("overfitting", UNDECIDED, UNKNOWN, "needs held-out texts with labels")
    elif cannot.state == HOLDS:
        yield Verdict("overfitting", DOES_NOT_HOLD, fitting.gap, "it does not fit the texts that it learned from")
    else:
        yield _judge("overfitting", fitting.gap, seen.texts, "held-out texts lose {value:.3f} of the accuracy")
    yield cannot


def of_cost(law: str | None, exponent: float, margin: float) -> Verdict:
    """On the law that operations follow with depth; `margin` is what an exponential is better by than every other."""
    says = f"operations grow by a {law} law with depth, exponent {exponent:.2f}"
    return _judge(
        "cost_exponential", Measured(margin, margin, margin), 0, says, unknown="a law needs at least 5 layers"
    )


def _of_memory(kept: Kept) -> Verdict:
    """Counted, so the interval is a point."""
    share = Measured(kept.quadratic, kept.quadratic, kept.quadratic)
    says = f"{100 * kept.quadratic:.0f} % of what {kept.length} tokens keep for the backward grows with the square of "
    says += f"the length, more than half from {kept.crossover:,.0f} tokens on" if share.value else "the length"
    return _judge("memory_quadratic", share, 0, says, unknown=f"a law needs texts of at least {SHORTEST} tokens")


def _judge(
    name: str, measured: Measured, texts: int, says: str, layer: int | None = None,
    unknown: str = "it could not be measured",
) -> Verdict:  # fmt: skip
    """HOLDS where the whole interval is on the ill side of the threshold."""
    value, low, high = measured
    if math.isnan(value):
        return Verdict(name, UNDECIDED, measured, unknown, layer)
    threshold = THRESHOLDS[name]
    text = says.format(value=value, layer=layer)
    ill, well = (high < threshold.value, low >= threshold.value)
    if threshold.side == "above":
        ill, well = low > threshold.value, high <= threshold.value
    if ill or well:
        return Verdict(name, HOLDS if ill else DOES_NOT_HOLD, measured, text, layer)
    more = _more(measured, threshold.value, threshold.log, texts)
    return Verdict(name, UNDECIDED, measured, f"{text}; about {more:,} more texts would decide", layer, more)


def _more(measured: Measured, threshold: float, log: bool, texts: int) -> int:
    """Texts to add until the interval, which narrows with the root of their number, leaves the threshold out."""
    value, low, high = (math.log(max(end, 1e-300)) for end in measured) if log else measured
    line = math.log(threshold) if log else threshold
    gap, half = abs(value - line), max(high - value, value - low)
    return 100 * texts if gap < half / 10 else math.ceil(texts * ((half / gap) ** 2 - 1)) + 1
