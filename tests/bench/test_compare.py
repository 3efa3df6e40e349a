"""Laws of a comparison: candidates share what they can, nothing finished is done twice, what is planted is found."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import torch

from scriptchain import config as configs
from scriptchain.__main__ import run
from scriptchain.bench import Arm, Plan, Pool, Rows, arms_of, compare, comparison, single, workers
from scriptchain.bench.pool import Run
from scriptchain.bench.rows import Unit
from scriptchain.bench.single import paired, train
from scriptchain.bench.told import report_of
from scriptchain.config import make, replace
from scriptchain.data.records import Records, read
from scriptchain.errors import DataError, ModelError, ResourceError, UsageError

from ..positions.rows import ROWS, SMALL, rows
from ..processes import left_behind
from ..refusals import refusal

TINY = ["d_model=16", "num_heads=2", "num_layers=1", "d_feedforward=32", "epochs=2", "vocab_size=300"]


def records(number: int = 60, seed: int = 0) -> Records:
    """The class is one word, wherever it stands: no order is needed."""
    rng = np.random.default_rng(seed)
    words = [f"w{one}" for one in range(30)]
    texts, labels = [], []
    for row in range(number):
        text = [*rng.choice(words, 4), "good" if row % 2 else "bad", str(row)]
        texts.append(" ".join(rng.permutation(text)))
        labels.append("yes" if row % 2 else "no")
    return Records(texts, labels, list(range(1, number + 1)), "made")


def arms(*names: str) -> list[Arm]:
    return arms_of("small", names, settings=TINY)


# --- pairing ------------------------------------------------------------------------------------------------


@rows(ROWS)
def test_candidates_start_from_the_same_weights_wherever_they_share_them(row):
    config = make({**SMALL, "positions": row.name, "positions_options": dict(row.options), "seed": 3})
    plain = paired(replace(config, positions="none", positions_options={}), 32, 3).state_dict()
    own = paired(config, 32, 3).state_dict()
    shared = [name for name in own if not name.startswith("encoder.encodings.")]
    assert set(shared) == {name for name in plain if not name.startswith("encoder.encodings.")}
    for name in shared:
        assert torch.equal(own[name], plain[name]), name


def test_order_and_dropout_are_the_same_whatever_an_encoding_draws(monkeypatch):
    """A table of biases that starts at 0 and hardly learns answers as none does: every loss must be the same."""
    losses, real = [], single.fit

    def fit(*arguments, **more):
        outcome = real(*arguments, **more)
        losses.append([record["loss"] for record in outcome.history])
        return outcome

    monkeypatch.setattr(single, "fit", fit)
    slow = [*TINY, "learning_rate=1e-9", "weight_decay=0", "dropout=0.3", "token_dropout=0.2"]
    for arm in arms_of("small", ["none", "t5_bias"], settings=slow):
        train(arm, Unit(0, 0), Rows(records()), seed=1)
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    monkeypatch.setattr(single, "DROPOUT", 7)
    train(arms_of("small", ["none", "t5_bias"], settings=slow)[0], Unit(0, 0), Rows(records()), seed=1)
    assert abs(losses[2][0] - losses[0][0]) > 1e-4  # other masks are seen


def test_a_run_repeats_itself_and_another_unit_has_other_rows():
    both = [train(arms("rope", "none")[0], Unit(0, 1), Rows(records()), seed=0) for _ in range(2)]
    assert _timeless(both[0]) == _timeless(both[1])
    parts = [Rows(records()).parts(unit) for unit in Rows(records()).units(2)]
    for learn, choose, score in parts:
        everything = [*learn.texts, *choose.texts, *score.texts]
        assert sorted(everything) == sorted(records().texts)
    scored = [set(score.texts) for _, _, score in parts]
    assert set.union(*scored[:5]) == set(records().texts)
    assert sum(map(len, scored[:5])) == len(records())
    assert scored[0] != scored[5]


def _timeless(run: Run) -> dict:
    return {name: getattr(run, name) for name in run.__struct_fields__ if name not in ("seconds", "step_ms")}


# --- the pool -----------------------------------------------------------------------------------------------


def test_nothing_finished_is_done_twice_and_a_torn_line_is_done_again(tmp_path, monkeypatch):
    trained, real = [], single.train

    def counting(arm, unit, *more):
        trained.append((arm.name, unit))
        return real(arm, unit, *more)

    monkeypatch.setattr(single, "train", counting)
    rows, plan = Rows(records()), Plan("none", repeats=1)
    first = compare(rows, arms("none", "rope"), Pool(tmp_path, rows.digest), plan)
    assert len(trained) == 10
    assert compare(rows, arms("none", "rope"), Pool(tmp_path, rows.digest), plan)["candidates"] == first["candidates"]
    assert len(trained) == 10
    file = tmp_path / "runs.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    again = compare(rows, arms("none", "rope"), Pool(tmp_path, rows.digest), plan)
    assert len(trained) == 11
    for one, other in zip(again["candidates"], first["candidates"], strict=True):
        assert {key: one[key] for key in one if key != "step_ms"} == {
            key: other[key] for key in other if key != "step_ms"}  # fmt: skip
    assert len(Pool(tmp_path, rows.digest).runs) == 10
    compare(rows, arms("none", "rope", "alibi"), Pool(tmp_path, rows.digest), plan)
    assert [name for name, _ in trained[11:]] == ["alibi"] * 5
    with pytest.raises(ModelError) as error:
        Pool(tmp_path, "others")
    assert str(error.value) == (
        f"{file} must hold runs of these rows, folds and seed, got others; hint: --force starts from the beginning"
    )


def test_a_pool_that_cannot_be_written_says_so(tmp_path):
    pool = Pool(tmp_path, "d")
    (tmp_path / "runs.jsonl").mkdir()
    with pytest.raises(ResourceError) as error:
        pool.add(_run("a", 0, 0.5))
    assert str(error.value) == f"{tmp_path}/runs.jsonl cannot be written (Is a directory)"


def test_a_killed_worker_costs_its_run_and_changes_nothing(tmp_path):
    rows, killed = Rows(records()), []

    def progress(line):
        if "macro-F1" in line and not killed:
            victim = multiprocessing.active_children()[0]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    plan = Plan("none", repeats=1, workers=2)
    compare(rows, arms("none", "rope"), Pool(tmp_path / "one", rows.digest), plan, progress)
    assert killed
    compare(rows, arms("none", "rope"), Pool(tmp_path / "two", rows.digest), Plan("none", repeats=1, workers=1))
    found = [sorted((_timeless(run) for run in Pool(tmp_path / name, rows.digest).runs), key=str)
             for name in ("one", "two")]  # fmt: skip
    assert found[0] == found[1]


def test_no_worker_outlives_a_command_that_is_killed(tmp_path):
    small = [f"--set={one}" for one in ("d_model=16", "num_heads=2", "num_layers=1", "d_feedforward=16", "epochs=1")]
    command = [sys.executable, "-m", "scriptchain", "compare", "task:roles", "--positions", "none,learned", "--repeats",
               "20", "--workers", "2", "--output", str(tmp_path / "out"), *small]  # fmt: skip
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    runs = tmp_path / "out" / "runs.jsonl"
    while process.poll() is None and not runs.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert runs.exists()
    assert left_behind(process.pid) == []


def test_workers_that_die_again_and_again_are_given_up(monkeypatch):
    class Dying:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def submit(self, *_):
            future = Future()
            future.set_exception(BrokenProcessPool("killed"))
            return future

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Dying)
    jobs = [(arm, Unit(0, 0)) for arm in arms("none", "rope")]
    with pytest.raises(ResourceError) as error:
        list(workers.run_all(jobs, Rows(records()), 0, 2))
    assert str(error.value) == (
        "processes were killed 3 times, got no further than none; hint: --workers 1, or more memory"
    )


# --- what is said -------------------------------------------------------------------------------------------


def _run(arm: str, repeat: int, score: float, fold: int = 0, step: float = 1.0) -> Run:
    right = np.arange(200) < round(200 * score)
    return _made(arm, repeat, score, right, [5] * 200, fold, step)


def _made(arm: str, repeat: int, score: float, right, lengths, fold: int = 0, step: float = 1.0) -> Run:
    return Run(
        arm=arm, name=arm, config={}, repeat=repeat, fold=fold, seed=repeat, data="d", accuracy=score, macro_f1=score,
        right=np.packbits(right).tobytes().hex(), lengths=lengths, parameters=10, memory_mb=1.0, step_ms=step,
        seconds=1.0,
    )  # fmt: skip


def _pool(tmp_path, scores: dict[str, list[float]], steps: dict[str, float]) -> tuple[list[Arm], Pool]:
    tmp_path.mkdir(exist_ok=True)
    pool, candidates = Pool(tmp_path, "d"), arms(*scores)
    for arm in candidates:
        for unit, score in enumerate(scores[arm.name]):
            pool.add(_run(arm.id, unit, score, step=steps[arm.name]))
    return candidates, pool


def test_hidden_words_are_the_same_for_all_and_order_is_worth_something_there(tmp_path):
    """Pairs of a word and its follower: a gap beside a word that lost its other half is filled by what stands where."""
    rng = np.random.default_rng(0)
    firsts = [rng.choice(10, 4) for _ in range(400)]
    made = [" ".join(f"w{word} w{(word + 3) % 10}" for word in words) for words in firsts]
    some = Records(made, ["yes", "no"] * 200, list(range(1, 401)), "made")
    rows = Rows(some, by="hidden")
    learn = [
        "d_model=32", "num_heads=2", "num_layers=1", "d_feedforward=64", "epochs=60", "vocab_size=300",
        "token_dropout=0", "learning_rate=0.003",
    ]  # fmt: skip
    found = {}
    for arm in arms_of("small", ["none", "learned"], settings=learn):
        found[arm.name] = train(arm, Unit(0, 0), rows, seed=0)
    assert found["none"].lengths == found["learned"].lengths
    assert len(found["none"].lengths) > 30
    assert found["learned"].loss < found["none"].loss - 0.3
    assert found["learned"].score > found["none"].score
    assert found["learned"].macro_f1 is None
    again = train(arms_of("small", ["none", "learned"], settings=learn)[1], Unit(0, 0), rows, seed=0)
    assert _timeless(again) == _timeless(found["learned"])
    assert Rows(some).digest != rows.digest


def test_hidden_words_of_other_vocabularies_are_not_compared(tmp_path):
    some = arms_of("small", ["none"], ["vocab_size=300,400"], settings=TINY)
    rows = Rows(records(), by="hidden")
    with pytest.raises(UsageError) as error:
        compare(rows, some, Pool(tmp_path, rows.digest), Plan(some[0].name))
    assert str(error.value) == (
        "--by hidden must have candidates that cut texts alike, got several vocab_size; hint: --by labels"
    )


def test_a_budget_that_is_spent_trains_no_other_candidate_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(single, "seconds", lambda *_: 1.0)
    candidates, pool = _pool(tmp_path, {"none": [0.5] * 9, "rope": [0.5] * 9}, {"none": 1.0, "rope": 1.0})
    report = compare(Rows(task="roles"), candidates, pool, Plan("none", budget=18.0))
    assert report["runs"] == 18  # nothing is left, and what is there is told
    with pytest.raises(UsageError) as error:
        compare(Rows(task="roles"), [*candidates, *arms("alibi", "none")[:1]], pool, Plan("none", budget=18.5))
    assert str(error.value).startswith("--budget must be at least 19s for one run of each of 3 candidates, got 18.5s")


def test_the_command_trains_on_one_thread_as_its_workers_do(tmp_path, monkeypatch):
    threads, real = [], single.train
    monkeypatch.setattr(single, "train", lambda *told: threads.append(torch.get_num_threads()) or real(*told))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        settings = [part for one in TINY for part in ("--set", one)]
        assert run(["compare", "emotions", "--positions", "none,rope", "--folds", "2", "--repeats", "1", "--workers",
                    "1", "--quiet", "--output", str(tmp_path / "found"), *settings]) == 0  # fmt: skip
    finally:
        torch.set_num_threads(before)
    assert threads == [1] * 4


def test_the_report_speaks_of_losses_where_hidden_words_are_scored(tmp_path):
    rows = Rows(records(), by="hidden")
    report = compare(rows, arms("none", "rope"), Pool(tmp_path, rows.digest), Plan("none", repeats=1))
    assert report["score"]["name"] == "loss of hidden words"
    one = report["candidates"][1]
    assert one["macro_f1"] is None
    assert one["score"] == -one["loss"]
    assert f"{one['loss']:.3f}" in report.to_markdown()
    assert "macro-F1" not in report.to_markdown()


def test_of_equivalent_ones_the_cheapest_is_recommended(tmp_path):
    base = [0.7, 0.72, 0.69, 0.71, 0.73, 0.7, 0.7, 0.69]
    scores = {"none": [one - 0.1 for one in base], "rope": base, "alibi": [one - 0.001 for one in base]}
    candidates, pool = _pool(tmp_path, scores, {"none": 0.5, "rope": 3.0, "alibi": 2.0})
    rows = Rows(task="roles")
    report = report_of(rows, candidates, candidates[0], pool, 0.01, seconds=1.0, going_on=[])
    assert report["recommended"] == "alibi"
    assert "33.3 % cheaper" in report["why"]
    by_name = {one["name"]: one for one in report["candidates"]}
    assert (by_name["rope"]["verdict"], by_name["alibi"]["verdict"]) == ("better", "better")
    assert report["order"]["verdict"] == "TRUE"
    wide = report_of(rows, candidates, candidates[1], pool, 0.0001, seconds=1.0, going_on=[])
    assert wide["recommended"] == "rope"


def test_who_had_one_turn_more_is_not_recommended_for_it(tmp_path):
    scores = {"none": [0.5, 0.5, 0.9], "rope": [0.6, 0.6], "alibi": [0.55, 0.55, 0.9]}
    candidates, pool = _pool(tmp_path, scores, dict.fromkeys(scores, 1.0))
    report = report_of(Rows(task="roles"), candidates, candidates[0], pool, 0.001, seconds=1.0, going_on=list(scores))
    assert report["recommended"] == "rope"
    assert report["why"].startswith("the best mean of 3 on 2 units")
    left = report_of(
        Rows(task="roles"), candidates, candidates[0], pool, 0.001, seconds=1.0, going_on=["none", "alibi"]
    )
    assert left["recommended"] == "alibi"
    assert left["why"].startswith("the best mean of 2 on 3 units")


def test_where_none_is_as_good_order_does_not_matter(tmp_path):
    base = [0.7, 0.72, 0.69, 0.71, 0.73, 0.7, 0.7, 0.69]
    scores = {"none": base, "rope": [one + 0.001 * (-1) ** n for n, one in enumerate(base)]}
    candidates, pool = _pool(tmp_path, scores, {"none": 1.0, "rope": 2.0})
    report = report_of(Rows(task="roles"), candidates, candidates[0], pool, 0.01, seconds=1.0, going_on=[])
    assert report["order"]["verdict"] == "FALSE"
    assert report["recommended"] == "none"
    assert next(one for one in report["candidates"] if one["name"] == "rope")["verdict"] == "equivalent"


def test_the_luckiest_of_many_does_not_prove_that_order_matters(tmp_path):
    """What is better than `none` if it stands beside it alone is not for being the luckiest of seven."""
    lucky = {"none": [0.5] * 6, "rope": [0.6, 0.55, 0.62, 0.49, 0.58, 0.52]}
    others = ("alibi", "learned", "sinusoidal", "kerple", "cope", "transformer_xl")
    noise = {name: [0.5 + 0.1 * (-1) ** (n + place) for n in range(6)] for place, name in enumerate(others)}
    for scores, verdict in ((lucky, "TRUE"), (lucky | noise, "UNDECIDED")):
        candidates, pool = _pool(tmp_path / verdict, scores, dict.fromkeys(scores, 1.0))
        report = report_of(Rows(task="roles"), candidates, candidates[0], pool, 0.01, seconds=1.0, going_on=[])
        assert (report["order"]["verdict"], report["order"]["best"]) == (verdict, "rope")


def test_three_units_are_enough_where_order_is_all_and_two_are_not(tmp_path):
    scores = {"none": [0.4, 0.42, 0.41], "rope": [0.9, 0.91, 0.9], "alibi": [0.98, 0.99, 0.99]}
    for units, verdict, best in ((3, "TRUE", "alibi"), (2, "UNDECIDED", None)):
        some = {name: found[:units] for name, found in scores.items()}
        candidates, pool = _pool(tmp_path / str(units), some, dict.fromkeys(scores, 1.0))
        report = report_of(Rows(task="roles"), candidates, candidates[0], pool, 0.01, seconds=1.0, going_on=[])
        assert (report["order"]["verdict"], report["order"]["best"]) == (verdict, best)


def test_the_better_half_goes_on_and_the_baseline_always(tmp_path):
    scores = {"none": [0.1] * 3, "rope": [0.5] * 3, "alibi": [0.7] * 3, "learned": [0.6] * 3, "cope": [0.2] * 3}
    candidates, pool = _pool(tmp_path, scores, dict.fromkeys(scores, 1.0))
    assert [arm.name for arm in comparison._better_half(candidates, candidates[0], pool)] == [
        "none",
        "alibi",
        "learned",
    ]


def test_a_task_teaches_with_as_many_rows_as_are_asked_for():
    for task in ("roles", "even_pairs"):
        some, more = Rows(task=task, number=30), Rows(task=task)
        learn, choose, score = some.parts(Unit(0, 0))
        assert len(learn) == 30 < len(more.parts(Unit(0, 0))[0])
        assert (choose.texts, score.texts) == tuple(part.texts for part in more.parts(Unit(0, 0))[1:])
        assert some.digest != more.digest


def test_under_a_budget_fewer_candidates_get_more_units(tmp_path, monkeypatch):
    worth = {"none": 0.5, "rope": 0.8, "alibi": 0.6, "learned": 0.4}
    trained: list[tuple[str, int]] = []
    monkeypatch.setattr(comparison.time, "perf_counter", lambda: float(len(trained)))  # a second each

    def train(arm, unit, rows, seed, device):
        trained.append((arm.name, unit.repeat))
        return _run(arm.id, unit.repeat, worth[arm.name] + 0.01 * (unit.repeat % 3))

    monkeypatch.setattr(single, "train", train)
    monkeypatch.setattr(single, "seconds", lambda *_: 1.0)
    rows = Rows(task="roles")
    report = compare(rows, arms(*worth), Pool(tmp_path, "d"), Plan("none", budget=24.0))
    assert trained[:4] == [(name, 0) for name in worth]
    assert [trained.count((name, 4)) for name in worth] == [1, 1, 0, 0]
    assert len(trained) == 24
    assert report["going_on"] == ["none", "rope"]
    with pytest.raises(UsageError) as error:
        compare(rows, arms(*worth), Pool(tmp_path / "other", "d"), Plan("none", budget=2.0))
    assert str(error.value) == (
        "--budget must be at least 4s for one run of each of 4 candidates, got 2s; "
        "hint: fewer candidates, or --rows 1000"
    )


def test_lengths_are_told_apart_and_every_row_is_counted_once(tmp_path):
    rows = Rows(records())
    report = compare(rows, arms("none", "rope"), Pool(tmp_path, rows.digest), Plan("none", repeats=2))
    accuracy = report["lengths"]["accuracy"]["rope"]
    assert len(accuracy) == len(report["lengths"]["buckets"])
    assert report["candidates"][0]["units"] == 10


def test_rows_of_more_words_are_scored_and_never_learned_from(tmp_path):
    made = records(200)
    long = [f"{text} {text}" if row % 3 == 0 else text for row, text in enumerate(made.texts)]
    rows = Rows(Records(long, made.labels, made.lines, "made"), up_to=8)
    for unit in rows.units(1):
        learn, choose, score = rows.parts(unit)
        assert {len(text.split()) for text in [*learn.texts, *choose.texts]} == {6}
        assert {len(text.split()) for text in score.texts} == {6, 12}
    report = compare(rows, arms("none", "rope"), Pool(tmp_path, rows.digest), Plan("none", repeats=1))
    assert report["learned_words"] == 8
    assert report["lengths"]["buckets"] == ["6", "12"]
    assert "learned from up to 8 words" in report.to_markdown()
    with pytest.raises(DataError) as error:
        Rows(Records(["a b c", "a"] * 30, ["x", "y"] * 30, list(range(60)), "made"), up_to=2)
    assert str(error.value) == ("--learn-up-to must leave every class rows to learn from, got none of 'x' with 2 words")


def test_lengths_beyond_those_learned_are_told_apart(tmp_path):
    rows = Rows(task="even_pairs")
    learn, _, score = rows.parts(Unit(0, 0))
    lengths = [[len(text.split()) for text in part.texts] for part in (learn, score)]
    assert (max(lengths[0]), max(lengths[1])) == (20, 40)
    pool, candidates = Pool(tmp_path, "d"), arms("none", "rope")
    for arm in candidates:
        for unit in range(3):
            right = np.array(lengths[1]) <= 20
            pool.add(_made(arm.id, unit, 0.5, right, lengths[1]))
    report = report_of(rows, candidates, candidates[0], pool, 0.01, seconds=1.0, going_on=[])
    assert report["lengths"]["buckets"] == ["6-12", "13-20", "21-30", "31-40"]
    assert [one["value"] for one in report["lengths"]["accuracy"]["rope"]] == [1.0, 1.0, 0.0, 0.0]


# --- commands -----------------------------------------------------------------------------------------------


def test_the_command_writes_runs_a_page_and_pictures(tmp_path, capsys):
    place = tmp_path / "found"
    file = tmp_path / "rows.csv"
    made = records()
    lines = [f"{text},{label}\n" for text, label in zip(made.texts, made.labels, strict=True)]
    file.write_text("text,label\n" + "".join(lines))
    settings = [part for one in TINY for part in ("--set", one)]
    command = ["compare", str(file), "--positions", "none,rope", "--repeats", "1", "--workers", "1", *settings,
               "--output", str(place)]  # fmt: skip
    assert run([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["candidates"]] == ["none", "rope"]
    assert told == json.loads((place / "report.json").read_text())
    page = (place / "report.html").read_text()
    assert "recommended" in page
    assert "data:image/png" in page
    assert len((place / "runs.jsonl").read_text().splitlines()) == 10
    line = json.loads((place / "runs.jsonl").read_text().splitlines()[0])
    assert (line["config"]["seed"], line["data"]) == (line["seed"], told["data"])
    assert run(command) == 2
    assert capsys.readouterr().err == (
        f"error: {place} holds a comparison already; hint: --resume, or --force, or another --output\n"
    )
    assert run([*command, "--resume", "--quiet"]) == 0
    assert "10 runs" in capsys.readouterr().out
    assert run([*command, "--resume", "--seed", "5"]) == 4
    assert run([*command, "--force", "--positions", "none,alibi", "--folds", "2"]) == 0
    assert len((place / "runs.jsonl").read_text().splitlines()) == 4


def test_the_command_refuses_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refused(*arguments):
        return refusal(tmp_path, capsys, "compare", *arguments)

    assert refused("emotions", "--positions", "rope") == (
        2, "candidates must be 2 to 64, got 1; hint: --positions learned,rope,alibi")  # fmt: skip
    code, message = refused("emotions", "--positions", "rope,alibbi")
    assert (code, "alibbi" in message, "'alibi'" in message) == (2, True, True)
    assert refused("emotions", "--positions", "rope,rope") == (2, "candidates must differ, got 'rope' twice")
    assert refused("emotions", "--vary", "d_model") == (
        2, "--vary must be KEY=VALUE,VALUE, got 'd_model'; hint: --vary d_model=64,128")  # fmt: skip
    assert refused("emotions", "--vary", "depth=2,x") == (
        2, "depth must be a number of layers, got 'x'; hint: --vary depth=2,4,8")  # fmt: skip
    assert refused("emotions", "--baseline", "shaw") == (
        2, "--baseline must be one of the candidates, got 'shaw'; hint: --baseline 'none'")  # fmt: skip
    assert refused("task:roles", "--learn-up-to", 3) == (
        2, "--learn-up-to must come with rows of yours, got a generated task")  # fmt: skip
    assert refused("task:roles", "--device", "abacus") == (
        2, "device must be one of auto, cpu, cuda, mps, got 'abacus'")  # fmt: skip
    code, message = refused("task:chess")
    assert (code, message[:46]) == (2, "DATA must be a file or one of task:roles, task")
    assert message.endswith("task:counting, got 'task:chess'")
    assert refused("emotions", "--preset", "linear") == (
        2, "candidates must be trained by steps, got a linear or frozen model; hint: --preset small")  # fmt: skip
    few = tmp_path / "few.csv"
    few.write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(30)))
    assert refused(few) == (3, "a comparison in 5 folds needs at least 40 rows, got 30")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    assert refused("emotions", "--output", tmp_path / "taken") == (
        2, f"--output must be empty or hold a comparison, got {tmp_path}/taken; hint: another --output")  # fmt: skip
    assert refused("emotions", "--output", few)[0] == 5


def test_rows_without_labels_are_refused():
    with pytest.raises(DataError) as error:
        Rows(replace_labels(records()))
    assert str(error.value) == "made must have labels to compare by; hint: --label-column NAME"


def replace_labels(one: Records) -> Records:
    return Records(one.texts, None, one.lines, one.source)


def test_depth_and_widths_are_candidates_too():
    found = arms_of("small", ["rope"], ["depth=1,2", "d_model=32,64"])
    assert [arm.name for arm in found] == [f"rope, depth {d}, d_model {w}" for d in (1, 2) for w in (32, 64)]
    assert [(arm.config.num_layers, arm.config.d_model) for arm in found] == [(1, 32), (1, 64), (2, 32), (2, 64)]
    assert len({arm.id for arm in found}) == 4


def test_a_key_of_a_later_version_at_its_default_keeps_the_runs(monkeypatch):
    arm, to_dict = Arm("one", make({"d_model": 32})), configs.to_dict
    before = arm.id
    monkeypatch.setattr(configs, "to_dict", lambda config: to_dict(config) | {"later": 0})
    assert arm.id == before != Arm("one", make({"d_model": 64})).id


def test_the_bundled_rows_can_be_compared():
    rows = Rows(read("emotions"))
    assert [len(part) for part in rows.parts(Unit(0, 0))] == [72, 8, 20]
