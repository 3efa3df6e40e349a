"""Laws of an explanation: weights are what leaving out costs, the check tells real weights from others, and no word of
a text is lost or changed on the way to the page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain import Classifier, UsageError
from scriptchain.__main__ import run
from scriptchain.data.labels import Labels
from scriptchain.export.page import explanations
from scriptchain.runtime.explain import LONGEST, Explanation, explain

from ..refusals import refusal

LABELS = Labels.from_names(["bad", "good"])
WEIGHTS = {"lovely": 2.0, "fine": 0.5, "day": 0.0, "rain": -1.0}


def bag(texts) -> np.ndarray:
    """A model that adds up its words: what a word is worth is known."""
    odds = [0.3 + sum(WEIGHTS.get(word, 0.0) for word in re.findall(r"\w+", text)) for text in texts]
    return np.array([[1.0, 1.0 + one] for one in odds], np.float32)


def test_a_word_weighs_what_it_adds_to_the_log_odds():
    found = explain(bag, LABELS, "lovely rain, fine day")
    assert found.label == "good"
    assert found.score == pytest.approx(1 / (1 + np.exp(-1.8)), abs=1e-6)
    assert [word.word for word in found.words] == ["lovely", "rain", ",", "fine", "day"]
    assert [word.weight for word in found.words] == pytest.approx([2.0, -1.0, 0.0, 0.5, 0.0], abs=1e-6)
    other = explain(bag, LABELS, "lovely rain, fine day", label="bad")
    assert other.label == "bad"
    assert other.score == pytest.approx(1 - found.score, abs=1e-6)
    assert [word.weight for word in other.words] == pytest.approx([-2.0, 1.0, 0.0, -0.5, 0.0], abs=1e-6)


def test_log_odds_of_many_classes_are_those_of_the_softmax():
    three = Labels.from_names(["a", "b", "c"])
    logits = np.array([[90.0, 0.5, -1.0], [2.0, 0.5, -1.0], [0.1, 0.5, 40.0]], np.float32)
    found = explain(lambda texts: np.resize(logits, (len(texts), 3)), three, "two words", label="a")

    def odds(row):
        return row[0] - np.log(np.exp(row[1:].astype(np.float64)).sum())

    weights = [odds(logits[0]) - odds(one) for one in logits[1:]]
    assert [word.weight for word in found.words] == pytest.approx(weights)


def test_the_check_is_the_mean_fall_over_the_words_of_most_weight():
    found = explain(bag, LABELS, "fine lovely rain")

    def good(odds):
        return 1 / (1 + np.exp(-odds))

    assert found.deletion == pytest.approx(good(1.8) - (good(-0.2) + good(-0.7)) / 2, abs=1e-6)
    assert found.random is not None
    assert found.deletion > found.random + 0.1
    assert "the probability falls by" in found.check


def test_words_that_weigh_nothing_fail_the_check():
    found = explain(bag, LABELS, "day day day day")
    assert found.deletion == found.random == 0


def test_a_text_of_one_word_has_nothing_to_check():
    found = explain(bag, LABELS, "lovely")
    assert (found.deletion, found.random, found.check) == (None, None, "")
    assert explain(bag, LABELS, "  ").words == []


def test_what_stands_behind_the_longest_is_not_measured():
    found = explain(bag, LABELS, "day " * (LONGEST + 3))
    assert [word.weight is None for word in found.words] == [False] * LONGEST + [True] * 3


@given(st.text(max_size=40))
def test_every_word_is_a_piece_of_the_text_and_nothing_but_space_is_between(text):
    words = explain(bag, LABELS, text).words
    at = 0
    for word in words:
        assert text[word.start : word.end] == word.word != ""
        assert re.fullmatch(r"[\s_]*", text[at : word.start])
        at = word.end
    assert re.fullmatch(r"[\s_]*", text[at:])


def test_scripts_without_spaces_are_read_by_the_character():
    assert [word.word for word in explain(bag, LABELS, "it's 你好 здравствуй, ok!").words] == [
        "it's", "你", "好", "здравствуй", ",", "ok", "!"
    ]  # fmt: skip


# --- the page ------------------------------------------------------------------------------------------------


class Texts(HTMLParser):
    """What stands in the paragraphs of class text, and the tags of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self.tags, self._in = [], set(), False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "p":
            self._in = ("class", "text") in attrs
            self.found += [""] * self._in

    def handle_endtag(self, tag):
        self._in = self._in and tag != "p"

    def handle_data(self, data):
        if self._in:
            self.found[-1] += data


def test_the_page_holds_each_text_by_the_letter_and_runs_nothing():
    texts = ["lovely  <script>alert(1)</script> rain & fine", "día 你好\nfine"]
    page = explanations("words <b>", [explain(bag, LABELS, text) for text in texts])
    parser = Texts()
    parser.feed(page)
    assert parser.found == texts
    assert not parser.tags & {"script", "b", "img", "link"}
    assert "default-src 'none'" in page
    assert 'class="word for" style="--much: 0.70"' in page
    assert 'class="word against" style="--much: 0.35"' in page


# --- commands ------------------------------------------------------------------------------------------------


def test_explain_tells_programs_and_people_the_same(tiny_run: Path, tmp_path, capsys):
    texts = ["the food was not good", "good"]
    assert run(["explain", str(tiny_run), *texts, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["explanations"]
    model = Classifier.from_pretrained(tiny_run)
    assert told == [one.to_dict() for one in model.explain(texts)]
    assert isinstance(model.explain(["good"])[0], Explanation)
    assert [one["label"] for one in told] == model.predict(texts).tolist()
    assert [word["word"] for word in told[0]["words"]] == texts[0].split()
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts), encoding="utf-8")
    assert run(["explain", str(tiny_run), "--file", str(file), "--html", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    for word in told[0]["words"]:
        assert f"{word['weight']:+.2f}" in out
    assert out.count("the probability falls by") == 1
    assert "the food" not in (tmp_path / "page.html").read_text().replace("</span>", "")  # each word a part of its own
    parser = Texts()
    parser.feed((tmp_path / "page.html").read_text())
    assert parser.found == texts


def test_explain_refuses_in_one_line(tiny_run: Path, tmp_path, capsys):
    def refused(*arguments):
        return refusal(tmp_path, capsys, "explain", tiny_run, *arguments)

    hint = f"hint: scriptchain explain {tiny_run} 'a text'"
    assert refused() == (2, f"texts must come as arguments or from --file, got neither; {hint}")
    assert refused("a", "--file", "b") == (2, f"texts must come as arguments or from --file, got both; {hint}")
    assert refused("good", "--label", "Joyful") == (2, "label must be one of bad, good, got 'Joyful'")
    assert refused("good", "--html", tmp_path / "no" / "page.html")[0] == 5
    with pytest.raises(UsageError):
        Classifier.from_pretrained(tiny_run).explain(["good"], label="Joyful")
