"""The bundled set is frozen: 100 distinct sentences that no bag of words can sort."""

from collections import Counter
from hashlib import sha256
from importlib.resources import files

import numpy as np
import pytest

from scriptchain.data.check import check
from scriptchain.data.records import read
from scriptchain.data.splits import folds
from scriptchain.data.text import leak_key

SHA256 = "e2844ce4238ed4178ef083baa6f13b3ddb4ac275083e14dae74a42eebcc1a3fd"


@pytest.fixture(scope="module")
def emotions():
    return read("emotions")


def test_the_file_is_frozen():
    assert sha256(files("scriptchain.data").joinpath("emotions.csv").read_bytes()).hexdigest() == SHA256


def test_a_hundred_distinct_short_sentences_a_quarter_a_class(emotions):
    assert len({leak_key(text) for text in emotions.texts}) == len(emotions) == 100
    assert Counter(emotions.labels) == {"Joyful": 25, "Frustrated": 25, "Excited": 25, "Disappointed": 25}
    assert all(1 <= len(text.split()) <= 15 for text in emotions.texts)
    assert all(text.isascii() and text == text.strip() for text in emotions.texts)


def test_our_own_check_finds_nothing(emotions):
    report = check(emotions)
    assert report["clean"] is True
    assert report["warnings"] == []
    assert {key: report[key]["count"] for key in ("duplicates", "near_duplicates", "conflicts", "leaks")} == {
        "duplicates": 0, "near_duplicates": 0, "conflicts": 0, "leaks": 0,
    }  # fmt: skip


def test_no_word_gives_the_class_away(emotions):
    rows = labels_of_words(emotions)
    for word, labels in rows.items():
        if len(labels) >= 4:
            assert len(set(labels)) > 1, word


def labels_of_words(records) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for text, label in zip(records.texts, records.labels, strict=True):
        for word in set(leak_key(text).split()):
            rows.setdefault(word, []).append(label)
    return rows


def test_a_linear_model_of_words_stays_near_chance(emotions):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = np.array(emotions.texts, dtype=object), np.array(emotions.labels)
    right = []
    for seed in range(5):
        for train, test in folds(emotions.texts, emotions.labels, k=5, seed=seed):
            model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
            right.extend(model.fit(texts[train], labels[train]).predict(texts[test]) == labels[test])
    assert len(right) == 500
    assert np.mean(right) <= 0.45
