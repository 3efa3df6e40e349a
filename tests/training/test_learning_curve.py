"""Laws of the learning curve: parts of parts, no text on two sides, and help is claimed only where there is some."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import t

from scriptchain.__main__ import run
from scriptchain.data.records import from_python
from scriptchain.errors import DataError
from scriptchain.training import learning_curve as module
from scriptchain.training.learning_curve import learning_curve


def rows(count: int, seed: int = 0, noise: float = 0.0):
    """A text is two words of its class, which has 150 that look like any others: the more rows, the more are known."""
    words = [f"{word:06x}" for word in np.random.default_rng(7).permutation(16**6)[:300]]
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count).tolist()
    texts = [" ".join(words[2 * word + label] for word in generator.integers(0, 150, 2)) for label in labels]
    wrong = generator.random(count) < noise
    return from_python(texts, [f"c{label ^ int(no)}" for label, no in zip(labels, wrong, strict=True)])


def test_more_labels_help_where_there_is_more_to_learn():
    report = learning_curve(rows(400))
    assert report["verdict"] == "more labels help"
    values = [point["macro_f1"]["value"] for point in report["points"]]
    assert values == sorted(values)
    assert [point["rows"] for point in report["points"]] == [40, 80, 160, 320]
    for point in report["points"]:
        assert 0 <= point["macro_f1"]["low"] <= point["macro_f1"]["value"] <= point["macro_f1"]["high"] <= 1


def test_where_nothing_can_be_learned_no_help_is_claimed():
    helped = sum(learning_curve(rows(60, seed, noise=0.5))["verdict"] == "more labels help" for seed in range(15))
    assert helped <= 2


def test_parts_are_nested_and_share_no_text_with_the_rows_that_score(monkeypatch):
    some = rows(100)
    some = from_python([*some.texts, *(f"{text} " for text in some.texts)], [*(some.labels or [])] * 2)
    seen = []
    real = module.fit_baseline

    class Watched:
        def __init__(self, learned, fitted):
            self.learned, self.fitted = learned, fitted

        def logits(self, texts):
            seen.append((self.learned, [text.strip() for text in texts]))
            return self.fitted.logits(texts)

    def fit(texts, *given, **named):
        return Watched([text.strip() for text in texts], real(texts, *given, **named))

    monkeypatch.setattr(module, "fit_baseline", fit)
    learning_curve(some)
    assert len(seen) == 20
    for fold in range(5):
        parts = seen[4 * fold : 4 * fold + 4]
        for (smaller, scored), (larger, again) in pairwise(parts):
            assert scored == again
            assert len(smaller) < len(larger)
            assert set(smaller) <= set(larger)
        for learned, scored in parts:
            assert not set(learned) & set(scored)


def test_the_interval_is_that_of_nadeau_and_bengio():
    values = np.array([0.1, 0.3, 0.2, 0.25, 0.15])
    half = t.ppf(0.975, 4) * np.sqrt(values.var(ddof=1) * (1 / 5 + 1 / 4))
    assert module._over_folds(values, 0.0) == pytest.approx(
        {"value": 0.2, "low": max(0, 0.2 - half), "high": 0.2 + half}
    )


def test_of_many_rows_a_random_part_is_taken(monkeypatch):
    monkeypatch.setattr(module, "MOST", 100)
    assert [point["rows"] for point in learning_curve(rows(300))["points"]] == [10, 20, 40, 80]


def test_the_same_seed_gives_the_same_curve():
    assert learning_curve(rows(80), seed=3).to_dict() == learning_curve(rows(80), seed=3).to_dict()


def test_rows_that_are_too_few_or_have_no_labels_are_refused():
    for given, message in (
        (rows(39), "a learning curve needs at least 40 rows, got 39"),
        (from_python(["a"] * 50), "texts must have labels for a learning curve; hint: --label-column NAME"),
    ):
        with pytest.raises(DataError) as caught:
            learning_curve(given)
        assert str(caught.value) == message


def test_check_shows_it_where_it_is_asked_for(capsys):
    assert run(["check", "emotions", "--learning-curve", "--json"]) == 0
    out, err = capsys.readouterr()
    assert set(json.loads(out)["learning_curve"]) == {"points", "last_doubling", "verdict"}
    assert err.splitlines() == [f"learning curve: fold {fold} of 5" for fold in range(1, 6)]
    assert run(["check", "emotions", "--learning-curve"]) == 0
    assert "training rows" in capsys.readouterr().out
