"""M5 and M9, what a layer does to the stream: its change, the stream's variance, and single channels that tower."""

from dataclasses import dataclass

from .intervals import Measured, of_ratio
from .streams import Streams, per_text


@dataclass(frozen=True)
class Branches:
    """`update`: |h_l - h_l-1| / |h_l-1|, absent before the first layer; `variance` of the stream's numbers over
    tokens; `peak`: the greatest |h - its token's median| divided by the median of that, in channel `channel` (*Source*:
    arXiv 2402.17762, about 0)."""

    update: Measured | None
    variance: float
    peak: float
    channel: int


def branches(streams: Streams) -> list[Branches]:
    found: list[Branches] = []
    for number, layer in enumerate(streams.layers):
        h_MD = layer.double().cpu()
        update = None
        if number:
            before = streams.layers[number - 1].double().cpu()
            moved = per_text(((h_MD - before) ** 2).sum(1), streams)
            update = of_ratio(moved, per_text((before**2).sum(1), streams))
            update = Measured(*(max(0.0, end) ** 0.5 for end in update))
        # A norm's centering moves all other channels away from 0: from there no channel could tower by more than d - 1.
        sizes = (h_MD - h_MD.median(1, keepdim=True).values).abs()
        top = int(sizes.amax(0).argmax())
        peak = float(sizes.max() / sizes.flatten()[:: max(1, sizes.numel() // 1_000_000)].median().clamp(min=1e-300))
        found.append(Branches(update, float(h_MD.var(0).mean()), peak, top))
    return found
