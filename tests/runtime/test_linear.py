"""Laws of the baseline's scorer: it is scikit-learn's pipeline, survives its files, and refuses damaged ones."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from scriptchain.errors import ModelError
from scriptchain.runtime.linear import DOCUMENT, TENSORS, Analyzer, Linear

FAMILIAR = st.sampled_from("aab bc É ß İ ǅ _ 7 - ' 猫犬 نص क्षि \u0301 \n")
ALPHABET = st.one_of(FAMILIAR, st.characters(exclude_categories=["Cs"]))
TEXT = st.text(ALPHABET, max_size=40)


def from_pipeline(vectorizer: TfidfVectorizer, model: LogisticRegression, analyzer: Analyzer) -> Linear:
    coef, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coef, intercept = np.vstack([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
    return Linear(dict(vectorizer.vocabulary_), vectorizer.idf_, coef, intercept, analyzer)


def small() -> Linear:
    return Linear({"cat": 0, "dog": 1, "cat dog": 2}, np.array([1.0, 2, 3]), np.eye(2, 3), np.array([0.5, -0.5]))


def through_files(linear: Linear) -> Linear:
    files = linear.files()
    return Linear.load(files[TENSORS], files[DOCUMENT])


@pytest.mark.parametrize(
    ("num_classes", "analyzer"),
    [
        (2, Analyzer()),
        (4, Analyzer()),
        (2, Analyzer(lowercase=False)),
        (3, Analyzer(ngram_range=(2, 3))),
        (3, Analyzer(sublinear_tf=False)),
    ],
)
@given(texts=st.lists(TEXT, min_size=5, max_size=20), others=st.lists(TEXT, max_size=5))
@settings(deadline=None, max_examples=15)
def test_parity_with_scikit_learn_after_a_round_trip(num_classes, analyzer, texts, others):
    texts = [*texts, "one two three two three", "One two"]
    vectorizer = TfidfVectorizer(
        ngram_range=analyzer.ngram_range, sublinear_tf=analyzer.sublinear_tf, lowercase=analyzer.lowercase
    )
    features = vectorizer.fit_transform(texts)
    model = LogisticRegression(C=10, max_iter=1_000).fit(features, np.arange(len(texts)) % num_classes)
    fitted = from_pipeline(vectorizer, model, analyzer)
    loaded = through_files(fitted)
    asked = [*texts, *others, "", "unheard words"]
    oracle = model.predict_proba(vectorizer.transform(asked))
    np.testing.assert_allclose(loaded.probabilities(asked), oracle, atol=1e-5)
    np.testing.assert_array_equal(loaded.logits(asked), fitted.logits(asked))


def test_a_text_is_scored_alike_whatever_its_neighbors():
    texts = ["cat dog", "dog dog cat", "", "a bird", "CAT"]
    together = small().logits(texts)
    assert together.shape == (5, 2)
    np.testing.assert_array_equal(together, np.concatenate([small().logits([text]) for text in texts]))
    assert small().logits([]).shape == small().probabilities([]).shape == (0, 2)


def test_words_that_were_never_seen_leave_the_prior():
    linear = small()
    np.testing.assert_array_equal(linear.logits(["bird", ""]), [linear.intercept] * 2)
    assert linear.probabilities(["bird"])[0] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])


def test_weightless_words_are_no_division_by_zero():
    linear = Linear({"cat": 0}, np.zeros(1), np.ones((2, 1)), np.zeros(2))
    assert linear.logits(["cat"]).tolist() == [[0, 0]]


def test_huge_logits_stay_probabilities():
    linear = Linear({"cat": 0}, np.ones(1), np.array([[1e30], [-1e30]]), np.zeros(2))
    assert linear.probabilities(["cat"]).tolist() == [[1, 0]]


def test_a_baseline_without_words_survives_its_files():
    linear = Linear({}, np.zeros(0), np.zeros((3, 0)), np.log([0.5, 0.3, 0.2]))
    assert through_files(linear).probabilities(["🙂"])[0] == pytest.approx([0.5, 0.3, 0.2])


def test_the_same_baseline_gives_the_same_bytes():
    linear = small()
    turned = Linear({"cat dog": 2, "dog": 1, "cat": 0}, linear.idf, linear.coef, linear.intercept)
    assert linear.files() == turned.files()
    assert json.loads(linear.files()[DOCUMENT]) == {
        "analyzer": {"lowercase": True, "ngram_range": [1, 2], "sublinear_tf": True, "unit": "word"},
        "ngrams": ["cat", "dog", "cat dog"],
        "characters": None,
    }


@given(TEXT, st.integers(1, 6), st.integers(0, 4))
def test_characters_are_counted_as_scikit_learn_counts_them(text, fewest, more):
    sizes = (fewest, fewest + more)
    oracle = TfidfVectorizer(analyzer="char_wb", ngram_range=sizes).build_analyzer()(text)
    assert Counter(Analyzer(ngram_range=sizes, unit="character").ngrams(text)) == Counter(oracle)


def both() -> Linear:
    analyzer = Analyzer(ngram_range=(3, 3), unit="character")
    return replace(small(), characters=Linear({" ca": 0, "og ": 1}, np.ones(2), np.eye(2), np.zeros(2), analyzer))


def test_two_parts_add_their_scores_and_survive_their_files():
    linear, texts = both(), ["cat dog", "a cart", "", "fog"]
    assert linear.characters is not None
    np.testing.assert_allclose(linear.logits(texts), small().logits(texts) + linear.characters.logits(texts))
    assert not np.array_equal(linear.logits(texts), small().logits(texts))
    np.testing.assert_array_equal(through_files(linear).logits(texts), linear.logits(texts))


def test_two_parts_that_do_not_fit_are_refused():
    written = both().files()
    arrays, document = from_safetensors(written[TENSORS]), json.loads(written[DOCUMENT])
    hold = "baseline.safetensors must hold idf, coef, intercept"
    cases = [
        (arrays, document | {"characters": None}, hold),
        ({name: part for name, part in arrays.items() if "." not in name}, document, hold),
        (arrays | {"characters.coef": np.ones((3, 2), np.float32), "characters.intercept": np.ones(3, np.float32)},
         document, "the baseline's two parts must score the same 2 classes, got 3"),
        (arrays, document | {"characters": document["characters"] | {"characters": document["characters"]}},
         "baseline.json must describe a baseline, got: Object contains unknown field `characters`"),
        (arrays, document | {"characters": document["characters"] | {"ngrams": ["abc", "abc"]}},
         "baseline.json must hold each n-gram once, got one twice"),
    ]  # fmt: skip
    for parts, told, message in cases:
        with pytest.raises(ModelError) as error:
            Linear.load(to_safetensors(parts), json.dumps(told).encode())
        assert error.value.message.startswith(message)


def test_scoring_imports_no_training_library():
    code = "import sys, scriptchain.runtime.linear; print({'sklearn', 'scipy', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def files() -> tuple[bytes, dict]:
    written = small().files()
    return written[TENSORS], json.loads(written[DOCUMENT])


def test_damaged_tensors_are_refused():
    tensors, document = files()
    arrays = from_safetensors(tensors)
    nan = arrays | {"idf": np.array([1, np.nan, 1], np.float32)}
    flat = arrays | {"coef": np.ones(6, np.float32)}
    long = arrays | {"intercept": np.ones(3, np.float32)}
    none = arrays | {"intercept": np.ones(0, np.float32), "coef": np.ones((0, 3), np.float32)}
    fit = "the baseline's tensors must fit its 3 n-grams, got shapes "
    hold = "baseline.safetensors must hold idf, coef, intercept in float32, got "
    damaged = {
        b"": "baseline.safetensors must be a safetensors file, got one without a whole header",
        tensors[:-4]: "baseline.safetensors: ",
        to_safetensors(nan): "baseline.safetensors: 'idf' must be finite, got NaN or infinity",
        to_safetensors(flat): fit + "{'idf': (3,), 'coef': (6,), 'intercept': (2,)}",
        to_safetensors(long): fit + "{'idf': (3,), 'coef': (2, 3), 'intercept': (3,)}",
        to_safetensors(none): fit + "{'idf': (3,), 'coef': (0, 3), 'intercept': (0,)}",
        to_safetensors({"idf": arrays["idf"]}): hold + "{'idf': 'float32'}",
        to_safetensors(arrays | {"idf": np.ones(3)}): hold
        + "{'coef': 'float32', 'idf': 'float64', 'intercept': 'float32'}",
        to_safetensors(arrays | {"more": np.ones(1, np.float32)}): hold,
    }
    for content, message in damaged.items():
        with pytest.raises(ModelError) as error:
            Linear.load(content, json.dumps(document).encode())
        assert error.value.message.startswith(message)
        assert "\n" not in str(error.value)


def test_a_damaged_document_is_refused():
    tensors, document = files()
    analyzer = document["analyzer"]
    must = "baseline.json must describe a baseline, got: "
    ngram_range = "ngram_range must rise from 1 or more, got "
    twice = document | {"ngrams": ["cat", "dog", "cat"]}
    damaged = {
        "{": "baseline.json must be JSON (Expecting property name",
        json.dumps(document | {"more": 1}): must + "Object contains unknown field",
        json.dumps({"analyzer": analyzer}): must + "Object missing required field",
        json.dumps(document | {"analyzer": analyzer | {"stop": 1}}): must + "Object contains unknown field",
        json.dumps(document | {"ngrams": [1, 2, 3]}): must + "Expected `str`",
        json.dumps(twice): "baseline.json must hold each n-gram once, got one twice",
        json.dumps(document | {"ngrams": ["cat"]}): "the baseline's tensors must fit its 1 n-grams, got shapes ",
        json.dumps(document | {"analyzer": {"ngram_range": [2, 1]}}): ngram_range + "[2, 1]",
        json.dumps(document | {"analyzer": {"ngram_range": [0, 1]}}): ngram_range + "[0, 1]",
    }
    for content, message in damaged.items():
        with pytest.raises(ModelError) as error:
            Linear.load(tensors, content.encode())
        assert error.value.message.startswith(message)
    with pytest.raises(ModelError, match=r"baseline\.json must be JSON \('utf-8' codec"):
        Linear.load(tensors, b'{"analyzer": {}, "ngrams": ["\xff"]}')


def test_an_endless_ngram_range_costs_nothing():
    linear = Linear({"cat": 0}, np.ones(1), np.ones((2, 1)), np.zeros(2), Analyzer(ngram_range=(1, 10**12)))
    assert linear.logits(["cat dog"]).shape == (1, 2)
