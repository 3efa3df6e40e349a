"""How right is `scriptchain.lab.examine`? Every plant and look-alike at four depths and both norms, scored.

usage: python benchmarks/planted/run.py            the grid, its score: results.json, results.md, verdicts.png
       python benchmarks/planted/run.py --doses    from which dose on a verdict holds, and from which it costs accuracy
A configuration is a case at one depth with one norm; its seeds vote. Thresholds may be chosen on depths 3 and 6 of our
own encoder alone; what is scored are depths 12 and 24, and public architectures. UNDECIDED is not HOLDS. Done
examinations are kept in build/planted by a hash of the sources, so that a run goes on where it ended.
"""

import hashlib
import json
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import architectures
import baselines
import doses
import plants
import torch
from plants import CAUSES, Case

import scriptchain.lab
from scriptchain.lab import examine
from scriptchain.lab.thresholds import THRESHOLDS

CHOSEN = (3, 6)  # depths that thresholds may be chosen on
OWN, PUBLIC = "own", "public"
CASES: dict[str, dict[str, Case]] = {
    OWN: {**plants.PLANTS, **plants.LOOKALIKES}, PUBLIC: {**architectures.PLANTS, **architectures.LOOKALIKES},
}  # fmt: skip
HEALTHY = "healthy"
SHOWING = ("__init__", "claims", "depth_claims", "hugging_face", "page", "pictures", "reading", "ribbon",
           "summary")  # fmt: skip
Row = dict[str, Any]


# --- the grid -------------------------------------------------------------------------------------------------------


def jobs() -> Iterator[tuple[str, str, int, str, int, float]]:
    """(stack, case, depth, norm, seed, dose), shallow stacks first; dose 0 of most plants is one healthy stack."""
    for depth in plants.DEPTHS:
        for stack, cases in CASES.items():
            norms = plants.NORMS if stack == OWN else tuple(architectures.KINDS)
            if stack == OWN or depth in architectures.DEPTHS:
                yield from ((stack, HEALTHY, depth, norm, seed, 0.0) for norm in norms for seed in range(3))
            for name, case in cases.items():
                if depth not in case.depths:
                    continue
                doses = (0.0, 1.0) if case.own_twin and name in plants.PLANTS else (1.0,)
                yield from ((stack, name, depth, norm, seed, dose)
                            for norm in case.norms for seed in range(case.seeds) for dose in doses)  # fmt: skip


def subject(stack: str, name: str, depth: int, norm: str, seed: int, dose: float) -> plants.Subject:
    source = plants if stack == OWN else architectures
    return source.healthy(depth, norm, seed) if name == HEALTHY else CASES[stack][name].build(dose, depth, norm, seed)


def examined(job: tuple[str, str, int, str, int, float]) -> Row:
    """One line of the cache."""
    start = time.process_time()
    one = subject(*job)
    row: Row = dict(zip(("stack", "case", "depth", "norm", "seed", "dose"), job, strict=True))
    try:
        data = examine(one.module, one.batches, weights=one.weights, held_out=one.held_out, seed=job[4]).to_dict()
    except Exception as error:  # a stack that it cannot examine is a miss, and shown
        return row | {"error": f"{type(error).__name__}: {error}", "verdicts": {}, "baselines": []}
    row["verdicts"] = {
        name: [verdict["state"], *(_number(verdict[key]) for key in ("value", "low", "high"))]
        for name, verdict in data["verdicts"].items()
    }
    row["order"] = _number(data["order"]["distance"]["value"])
    row["baselines"] = baselines.holding(one, data)
    return row | {"seconds": round(time.process_time() - start, 2)}


def _number(value: float) -> float | None:
    return None if value != value else float(f"{value:.4g}")


def sources() -> str:
    """A hash of all that decides a verdict: what only shows it may change."""
    lab = [file for file in sorted(Path(scriptchain.lab.__file__).parent.glob("*.py")) if file.stem not in SHOWING]
    files = [*lab, *(HERE / f"{name}.py" for name in ("plants", "architectures", "baselines"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def grid() -> list[Row]:
    cache = Path("build/planted") / f"{sources()}.jsonl"
    cache.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in cache.read_text().splitlines()] if cache.exists() else []
    done = {(row["stack"], row["case"], row["depth"], row["norm"], row["seed"], row["dose"]) for row in rows}
    left = [job for job in jobs() if job not in done]
    work, start, spent = sum(job[2] for job in left), time.monotonic(), 0
    with cache.open("a") as file:
        for number, job in enumerate(left, 1):
            rows.append(examined(job))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            spent += job[2]  # an examination takes about as long as its stack is deep
            if number % 20 == 0 or number == len(left):
                minutes = (time.monotonic() - start) / 60 * (work - spent) / spent
                print(f"{number} of {len(left)}, {job[1]} at {job[2]} layers; {minutes:.0f} minutes left", flush=True)
    return rows


# --- the score ------------------------------------------------------------------------------------------------------


def votes(rows: list[Row], field: str = "verdicts") -> dict[tuple[str, str, int, str, float], set[str]]:
    """What holds in most seeds of each configuration."""
    seeds: dict[tuple[str, str, int, str, float], list[set[str]]] = defaultdict(list)
    for row in rows:
        held = row[field] if field == "baselines" else [n for n, one in row["verdicts"].items() if one[0] == "HOLDS"]
        seeds[row["stack"], row["case"], row["depth"], row["norm"], row["dose"]].append(set(held))
    return {key: {name for name in set().union(*held) if sum(name in one for one in held) > len(held) / 2}
            for key, held in seeds.items()}  # fmt: skip


def expected(stack: str, name: str, dose: float) -> tuple[set[str], set[str]]:
    """Target and allowed verdicts; a healthy twin has none."""
    if name == HEALTHY or (dose == 0 and name in plants.PLANTS):
        return set(), set()
    case = CASES[stack][name]
    return set(case.target), case.allowed


def scored(key: tuple[str, str, int, str, float]) -> bool:
    return key[0] == PUBLIC or key[2] not in CHOSEN


def confusion(held: dict[tuple[str, str, int, str, float], set[str]], name: str) -> Row:
    """Of one verdict over the configurations given: found of those ill, quiet of those where it may not hold."""
    hits = ill = quiet = well = 0
    for key, found in held.items():
        target, allowed = expected(key[0], key[1], key[4])
        if name in target:
            ill, hits = ill + 1, hits + (name in found)
        elif name not in allowed:
            well, quiet = well + 1, quiet + (name not in found)
    return {"ill": ill, "found": hits, "well": well, "quiet": quiet,
            "sensitivity": wilson(hits, ill), "specificity": wilson(quiet, well)}  # fmt: skip


def wilson(right: int, count: int, z: float = 1.96) -> list[float] | None:
    """A share with its 95 % interval; None of nothing."""
    if not count:
        return None
    share = right / count
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * (share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5 / (1 + z**2 / count)
    return [round(number, 4) for number in (share, max(0.0, center - half), min(1.0, center + half))]


def score(rows: list[Row]) -> Row:
    held = votes(rows)
    tuned = {key: found for key, found in held.items() if not scored(key)}
    tested = {key: found for key, found in held.items() if scored(key)}
    wrong = []
    for key, found in held.items():
        target, allowed = expected(key[0], key[1], key[4])
        if found - allowed or target - found:
            wrong.append(
                {"configuration": list(key), "missed": sorted(target - found), "false": sorted(found - allowed)}
            )
    others = {key: found for key, found in votes(rows, "baselines").items() if scored(key)}
    data: Row = {
        "configurations": {"chosen on": len(tuned), "scored": len(tested)},
        "examinations": len(rows),
        "sources": sources(),
        "verdicts": {name: confusion(tested, name) for name in THRESHOLDS},
        "verdicts_where_chosen": {name: confusion(tuned, name) for name in THRESHOLDS},
        "margins_where_chosen": {name: margin(rows, name) for name in THRESHOLDS},
        "by_case": by_case(held),
        "wrong": wrong,
        "errors": [row["error"] for row in rows if "error" in row],
        "baselines": {rule: _of_rule(rule, name, others) for rule, name in baselines.RULES.items()},
    }  # fmt: skip
    for part in ("verdicts", "verdicts_where_chosen"):
        found, ill, quiet, well = (
            sum(one[key] for one in data[part].values()) for key in ("found", "ill", "quiet", "well")
        )
        data[f"all_{part}"] = {"ill": ill, "found": found, "well": well, "quiet": quiet,
                               "sensitivity": wilson(found, ill), "specificity": wilson(quiet, well)}  # fmt: skip
    return data


def _of_rule(rule: str, name: str, held: dict[tuple[str, str, int, str, float], set[str]]) -> Row:
    """The probe was tried on our own encoder alone."""
    tried = {key: found for key, found in held.items() if key[0] == OWN or not rule.startswith("probe")}
    return confusion({key: {name} if rule in found else set() for key, found in tried.items()}, name)


def margin(rows: list[Row], name: str) -> Row:
    """The threshold beside the sickest of the well and the healthiest of the ill, on the depths it may be chosen on."""
    threshold = THRESHOLDS[name]
    most, least = (min, max) if threshold.side == "below" else (max, min)
    sides: dict[bool, list[float]] = {True: [], False: []}
    for row in rows:
        target, allowed = expected(row["stack"], row["case"], row["dose"])
        value = row["verdicts"].get(name, [None, None])[1]
        chosen = row["stack"] == OWN and row["depth"] in CHOSEN
        if chosen and value is not None and (name in target or name not in allowed):
            sides[name in target].append(value)
    return {"threshold": threshold.value, "side": threshold.side, "well": most(sides[False], default=None),
            "ill": least(sides[True], default=None)}  # fmt: skip


def by_case(held: dict[tuple[str, str, int, str, float], set[str]]) -> dict[str, dict[str, float]]:
    """The share of each case's scored configurations in which a verdict holds."""
    groups: dict[str, list[set[str]]] = defaultdict(list)
    for key, found in held.items():
        if scored(key):
            twin = key[4] == 0 and key[1] in plants.PLANTS
            groups[f"{key[1]}{' (dose 0)' if twin else ''}"].append(found)
    return {case: {name: round(sum(name in one for one in found) / len(found), 3) for name in THRESHOLDS
                   if any(name in one for one in found)} for case, found in groups.items()}  # fmt: skip


def table(data: Row) -> str:
    lines = ["| verdict | found of ill | sensitivity | quiet of well | specificity |", "|---|---|---|---|---|"]
    for name, one in [*data["verdicts"].items(), ("**all**", data["all_verdicts"])]:
        lines.append(_line(name, one))
    lines += [
        "",
        "| rule used elsewhere | found of ill | sensitivity | quiet of well | specificity |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(f"{rule}, as `{baselines.RULES[rule]}`", one) for rule, one in data["baselines"].items()]
    return "\n".join(lines)


def _line(name: str, one: Row) -> str:
    shown = ["-" if share is None else f"{share[0]:.3f} [{share[1]:.3f}, {share[2]:.3f}]"
             for share in (one["sensitivity"], one["specificity"])]  # fmt: skip
    return f"| {name} | {one['found']} / {one['ill']} | {shown[0]} | {one['quiet']} / {one['well']} | {shown[1]} |"


def picture(data: Row, path: Path) -> None:
    """Cases by verdicts: a box is what must be found, a ring what may be; everything else should be white."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    columns = list(THRESHOLDS)
    first = [name for name in (*plants.PLANTS, HEALTHY, *plants.LOOKALIKES) if name in data["by_case"]]
    rows = first + [name for name in data["by_case"] if name not in first]
    shares = torch.tensor([[data["by_case"][row].get(column, 0.0) for column in columns] for row in rows])
    figure, axes = plt.subplots(figsize=(11, 0.3 * len(rows) + 2.8), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for y, row in enumerate(rows):
        case = CASES[OWN].get(row)
        for x, column in enumerate(columns):
            target, allowed = (set(), set()) if case is None else (set(case.target), case.allowed)
            share = float(shares[y, x])
            if column in target:
                box = Rectangle((x - 0.44, y - 0.44), 0.88, 0.88, fill=False, edgecolor="black", linewidth=1.8)
                axes.add_patch(box)
            if column in allowed - target and not share:
                axes.plot(x, y, "o", markerfacecolor="none", markeredgecolor="#7f8c8d", markersize=5)
            if share or column in target:
                wrong = share < 1 if column in target else column not in allowed
                axes.text(x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
                          color="#c0392b" if wrong else "white" if share > 0.6 else "black",
                          weight="bold" if wrong else "normal")  # fmt: skip
    axes.set_xticks([x - 0.5 for x in range(1, len(columns))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="#dfe6e9", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.axhline(len([row for row in first if row in plants.PLANTS]) - 0.5, color="black", linewidth=1)
    axes.set_xticks(range(len(columns)), [column.replace("_", " ") for column in columns], rotation=45, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), [row.replace("_", " ") for row in rows])
    axes.set_xlabel(
        "% of the scored configurations in which a verdict holds; box: must be found; ring: may be found beside it, "
        "and was not;\nred: missed or false; below the line: healthy stacks", fontsize=9,
    )  # fmt: skip
    figure.savefig(path, dpi=110)


def write(part: str, data: Row) -> None:
    """One part of results.json anew, and the tables of all."""
    file = HERE / "results.json"
    kept = (json.loads(file.read_text()) if file.exists() else {}) | {part: json.loads(json.dumps(data))}
    file.write_text(json.dumps(kept, indent=1) + "\n")
    tables = {"grid": table, "doses": doses.table}
    text = "\n\n".join(tables[name](kept[name]) for name in tables if name in kept)
    (HERE / "results.md").write_text(text + "\n")
    print(text)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if "--doses" in sys.argv:
        write("doses", doses.grid(Path("build/planted") / f"doses-{sources()}.jsonl"))
        return
    data = score(grid())
    picture(data, HERE / "verdicts.png")
    write("grid", data)
    for one in data["wrong"]:
        print("wrong:", *one["configuration"], "missed", one["missed"], "false", one["false"])
    print(len(CAUSES), "causes;", data["configurations"], data["errors"] or "no errors")


if __name__ == "__main__":
    main()
