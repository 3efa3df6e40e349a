"""What a climb tells: a table of the rungs, why others were left out, and a picture of score against cost."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ..report import Report, Table, duration, megabytes, percent, with_interval
from .rung import Limits, Rung


def report_of(
    rungs: Sequence[Rung], left_out: dict[str, str], chosen: str, verdict: str, limits: Limits, rows: int, parts: int
) -> Report:
    def told(rung: Rung) -> dict[str, Any]:
        lead = rung.lead
        return {"name": rung.name, "macro_f1": rung.score, "best_lead": lead, "bytes": rung.size,
                "milliseconds": rung.latency, "training_seconds": rung.seconds, "verdict": rung.verdict}  # fmt: skip

    data = {"chosen": chosen, "verdict": verdict, "margin": limits.margin, "rows": rows, "folds": parts,
            "rungs": [told(rung) for rung in rungs], "left_out": left_out}  # fmt: skip
    table = Table(
        "ladder", ["rung", "macro-F1", "lead of the best", "size", "ms a text", "training", ""],
        [
            [rung.name, with_interval(rung.score), with_interval(rung.lead or rung.score), megabytes(rung.size),
             f"{rung.latency:.2f}", duration(rung.seconds), "ships" if rung.name == chosen else rung.verdict]
            for rung in rungs
        ],
        note=f"{rows:,} rows, which no rung learned from" + (f", in {parts} folds" if parts > 1 else "")
        + "; 95 % intervals, paired on the same rows",
    )  # fmt: skip
    margin = percent(limits.margin)
    body: list[Table | str] = [table]
    if verdict == "DECIDED":
        body.append(f"DECIDED: {chosen} is the smallest that is not worse than the best by more than {margin}")
    else:
        body.append(f"UNDECIDED: these rows do not tell whether a smaller one is within {margin}; {chosen} ships")
    body += [f"{name} is left out: {why}" for name, why in left_out.items()]
    return Report("the ladder", data, body)


def picture(data: Mapping[str, Any]) -> bytes:
    """The rungs from small to large, each with its score, interval and cost; the band is what the margin allows."""
    import matplotlib
    from matplotlib.figure import Figure

    from ..style import FIRST, INK, SECOND, style

    matplotlib.use("Agg")
    rungs = sorted(data["rungs"], key=lambda rung: rung["bytes"])
    best = 100 * max(rung["macro_f1"]["value"] for rung in rungs if rung["verdict"] == "best")
    with style():
        figure = Figure(figsize=(7.2, 0.42 * len(rungs) + 1.1), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(best - 100 * data["margin"], best, color=SECOND, alpha=0.15, linewidth=0)
        for row, rung in enumerate(rungs):
            ships = rung["name"] == data["chosen"]
            color = SECOND if ships else INK if rung["name"] == "majority" else FIRST
            low, value, high = (100 * rung["macro_f1"][bound] for bound in ("low", "value", "high"))
            axes.errorbar([value], [row], xerr=[[value - low], [high - value]], fmt="o", color=color, capsize=3)
            cost = f"{megabytes(rung['bytes'])}, {rung['milliseconds']:.2f} ms a text{', ships' if ships else ''}"
            axes.annotate("" if rung["name"] == "majority" else cost, (1.02, row), xycoords=("axes fraction", "data"),
                          va="center", color=color, annotation_clip=False)  # fmt: skip
        axes.set_yticks(range(len(rungs)), [rung["name"] for rung in rungs])
        axes.set(xlabel="macro-F1 (%), 95 % interval; band: the margin below the best", ylim=(len(rungs) - 0.5, -0.5))
        written = io.BytesIO()
        figure.savefig(written, dpi=130, metadata={"Software": None})
    return written.getvalue()
