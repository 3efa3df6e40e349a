"""Laws of familiarity: of texts like those held out no more look unusual than is said, and others do."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain import Classifier, UsageError
from scriptchain.__main__ import run
from scriptchain.errors import ModelError
from scriptchain.runtime import bundle
from scriptchain.runtime.bundle import FAMILIARITY, Bundle
from scriptchain.runtime.linear import Linear
from scriptchain.runtime.session import Session
from scriptchain.scoring.familiarity import MOST, Familiarity, energy, evenly

from ..refusals import refusal


def draw(generator: np.random.Generator, rows: int, shift: float = 0.0):
    """Logits and surprises that depend on each other, as those of a model do."""
    common = generator.normal(size=rows) - shift
    logits = generator.normal(size=(rows, 3)) + common[:, None]
    return logits, generator.normal(size=rows) - common


@pytest.mark.parametrize("held_out", [30, 400])
def test_of_texts_like_those_held_out_as_many_are_rare_as_is_said(held_out):
    shares = []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        found = Familiarity.of(*draw(generator, held_out))(*draw(generator, 100))
        shares.append([(found <= level).mean() for level in (0.05, 0.1, 0.5)])
    # A tie in the ranks of the product may cost a step of one held-out text, which is on the safe side.
    assert np.mean(shares, 0) == pytest.approx([0.05, 0.1, 0.5], abs=0.012 + 1 / held_out)
    assert (np.mean(shares, 0) <= np.array([0.05, 0.1, 0.5]) + 0.012).all()


def test_others_are_rarer_the_further_they_are():
    generator = np.random.default_rng(0)
    held_out = Familiarity.of(*draw(generator, 500))
    shares = [(held_out(*draw(generator, 500, shift)) <= 0.05).mean() for shift in (0, 1, 2, 4)]
    assert sorted(shares) == shares
    assert shares[-1] > 0.9


@given(st.integers(0, 2**32 - 1))
def test_more_energy_and_less_surprise_never_make_a_text_less_familiar(seed):
    generator = np.random.default_rng(seed)
    held_out = Familiarity.of(*draw(generator, 50))
    logits, surprise = draw(generator, 20)
    before = held_out(logits, surprise)
    assert ((before > 0) & (before <= 1)).all()
    assert (held_out(logits + 1, surprise) >= before).all()
    assert (held_out(logits, surprise - 1) >= before).all()


def test_what_is_like_nothing_has_the_least_that_there_is():
    held_out = Familiarity.of(*draw(np.random.default_rng(0), 99))
    assert held_out([[-1e3, -1e3, -1e3]], [1e3]) == pytest.approx([0.01])


def test_energy_is_exact_where_exponentials_overflow():
    assert energy(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])) == pytest.approx([1000.693147, -999.306853])


def test_of_many_held_out_texts_some_speak_for_all():
    texts = [str(row) for row in range(3 * MOST)]
    kept = [int(text) for text in evenly(texts)]
    assert (len(kept), kept[0], kept[-1]) == (MOST, 0, 3 * MOST - 1)
    assert set(np.diff(kept)) <= {2, 3, 4}
    assert evenly(texts[:MOST]) == texts[:MOST]


def test_too_few_held_out_texts_call_nothing_rare():
    generator = np.random.default_rng(0)
    logits, surprise = draw(generator, 50)
    assert Familiarity.of(*draw(generator, 18)).unfamiliar(logits, surprise) is None
    found = Familiarity.of(*draw(generator, 19)).unfamiliar(logits - 1e3, surprise + 1e3)
    assert found is not None
    assert (found["level"], found["share"]["value"]) == (0.05, 1.0)


def test_surprise_is_the_mean_weight_of_the_words():
    linear = Linear({"good": 0, "day": 1}, np.array([1.0, 3.0]), np.zeros((2, 2)), np.zeros(2))
    # unknown, as the pair "good day" is, counts one more than the rarest
    assert linear.surprise(["good", "good day", "zzz", "!"]) == pytest.approx([1.0, (1 + 3 + 4) / 3, 4.0, 4.0])


# --- run folders -------------------------------------------------------------------------------------------------


def test_a_run_folder_answers_as_the_model_did(tiny_run, tiny_data, tmp_path, capsys):
    session = Session(tiny_run)
    texts = ["the food was good and the service was quick", "qqq xyzzy"]
    assert session.held_out is not None
    wanted = session.held_out(session.logits(texts), session.surprise(texts))
    assert wanted[0] != wanted[1]
    assert Classifier.from_pretrained(tiny_run).familiarity(texts) == pytest.approx(wanted)
    for name in ("out.jsonl", "out.csv"):
        assert run(["predict", str(tiny_run), *texts, "--familiarity", "--output", str(tmp_path / name)]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["familiarity"] for line in lines] == [round(value, 6) for value in wanted]
    head, first, *_ = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert head == "text,label,score,familiarity,error"
    assert first.split(",")[3] == f"{wanted[0]:.6f}"
    capsys.readouterr()


def test_a_fitted_model_and_its_folder_agree(tmp_path):
    texts = [f"{word} {number}" for number in range(30) for word in ("fine", "poor")]
    model = Classifier("linear").fit(texts, ["good", "bad"] * 30, validation=(texts[:40], ["good", "bad"] * 20))
    model.save_pretrained(tmp_path / "run")
    some = ["fine 3", "unheard of"]
    assert Classifier.from_pretrained(tmp_path / "run").familiarity(some) == pytest.approx(model.familiarity(some))


def test_a_model_without_held_out_texts_says_so_before_it_answers(tmp_path, capsys):
    model = Classifier("linear", patience=0).fit(["fine", "poor"] * 5, ["good", "bad"] * 5)
    with pytest.raises(UsageError):
        model.familiarity(["fine"])
    model.save_pretrained(tmp_path / "run")
    assert refusal(tmp_path, capsys, "predict", tmp_path / "run", "fine", "--familiarity") == (
        2, "familiarity must be asked of a model that was trained with validation texts, got one without; hint: "
        "fit(..., validation=(texts, labels)), or train it again"
    )  # fmt: skip
    assert "familiarity: too few" in str(
        Classifier.from_pretrained(tmp_path / "run").evaluate(["fine"] * 2, ["good"] * 2)
    )


def test_held_out_texts_without_numbers_are_refused(tiny_run, tmp_path):
    from safetensors.numpy import save

    files = {name: (tiny_run / name).read_bytes() for name in bundle.FILES}
    empty = save({"energy": np.zeros(0, np.float32), "surprise": np.zeros(0, np.float32)})
    bundle.write(tmp_path, files | {FAMILIARITY: empty})
    with pytest.raises(ModelError, match=r"familiarity\.safetensors must hold a number a held-out text, got none"):
        Bundle(tmp_path).familiarity  # noqa: B018
