"""What is wrong with a data set before anything is learned from it: doubles, conflicts, leaks, give-aways.

Texts are compared by 64-bit hashes in numpy arrays, so that a million rows cost about a minute and a few
hundred bytes a row.
"""

import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..report import Report, Stream, Table, in_turn, percent, shown
from .near import near
from .records import Records
from .shares import FAR, SURE, Shift, shift
from .text import fingerprint, leak_key, model_text

LISTED_ROWS = 100

_EXAMPLES = 3
_AT_ONCE = 1_000  # texts between two looks at the clock
_NO_SCRIPT = "NONE"
_LATIN = re.compile("[A-Za-z]")
_STOP_WORDS = {
    "en": "the and is of to in it you that was for are with not have my they i a as at on no do me so be he she we",
    "de": "der die das und ist nicht ich sie mit ein eine auf für auch dem den wir wie noch",
    "fr": "le la les et est je pas une des dans pour que qui vous avec ce mais nous sur il",
    "es": "el la los y es no una que en por con para las muy pero como mi está del lo",
    "it": "il la che di è non una per sono con gli ho ma anche della questo mi del molto si",
    "pt": "o a os e é não uma que em por com para as muito mas como eu está do da",
    "nl": "de het een en is niet ik van dat op met voor zijn maar ook we wat je er naar",
}
_LANGUAGES: dict[str, list[str]] = defaultdict(list)
for _code, _words in _STOP_WORDS.items():
    for _word in _words.split():
        _LANGUAGES[_word].append(_code)


def check(
    records: Records, against: Records | None = None, tokens: Callable[[Sequence[str]], list[int]] | None = None,
    stream: Stream | None = None,
) -> Report:  # fmt: skip
    """A report on the rows, and on those that `against` (the training set of a test set) has too.

    `tokens` counts the tokens of each text; without it lengths are in words. `data["clean"]` is False if
    there is anything that `--strict` refuses. Row numbers are 1-based and count data rows. What takes longer than two
    seconds tells `stream` how far it is.
    """
    facts = _gathered(records.texts, records.labels, stream)
    findings = _findings(records, facts, against)
    counts = Counter(records.labels or ())
    classes = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    variants = _variants(classes)
    told = _told(records, facts.own_label, classes)
    mixed = sum(rows >= 0.01 * len(records) for script, rows in facts.scripts.items() if script != _NO_SCRIPT) > 1
    data: dict[str, Any] = {
        "rows": len(records),
        "classes": classes,
        "balance": max(classes.values()) / min(classes.values()) if classes else None,
        "lengths": _lengths(
            _counted(records.texts, tokens) if tokens else facts.words, "tokens" if tokens else "words"
        ),
        **{finding.key: finding.document() for finding in findings},
        "shift": None if against is None else shift(records.labels or [], against.labels or []),
        "label_variants": variants,
        "label_in_text": told,
        "scripts": _most_first(facts.scripts),
        "scripts_mixed": mixed,
        "languages": _most_first(facts.languages),
    }
    problems = [f"{finding.sentence}: {len(finding.rows)}" for finding in findings if len(finding.rows)]
    problems += [f"labels that differ only by case or space: {_quoted(names)}" for names in variants]
    problems += [
        f"label {shown(item['label'], 40)!r} stands in {percent(item['share'])} of its own texts" for item in told
    ]
    problems += [f"scripts are mixed: {', '.join(data['scripts'])}"] if mixed else []
    data["clean"] = not problems
    data["warnings"] = problems + _remarks(records, classes) + _shifted(data["shift"], against)
    return Report(f"Check of {records.source}", data, _body(records, against, data, findings))


# --- one pass over the texts ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Facts:
    """Per row: hashes of the model text and of the leak key, number of words; and counts over the rows."""

    texts: np.ndarray
    keys: np.ndarray
    words: np.ndarray
    word_hashes: np.ndarray  # of the words of all leak keys, one after the other
    key_words: np.ndarray  # how many of these each row has
    scripts: Counter[str]
    languages: Counter[str]
    own_label: Counter[str]  # texts of a label that have its name in them


def _gathered(texts: Sequence[str], labels: Sequence[str] | None, stream: Stream | None) -> _Facts:
    text_hashes, key_hashes, words, key_words = array("Q"), array("Q"), array("q"), array("q")
    word_hashes = array("q")
    scripts, languages, own_label = Counter[str](), Counter[str](), Counter[str]()
    script_of = _Scripts()
    phrases = {label: _phrase(label) for label in set(labels or ())}
    rows = range(len(texts))
    for row in (row for part in in_turn(len(texts), _AT_ONCE, "checked", stream) for row in rows[part]):
        text, key = model_text(texts[row]), leak_key(texts[row])
        parts = key.split()
        text_hashes.append(fingerprint(text))
        key_hashes.append(fingerprint(key))
        words.append(text.count(" ") + 1 if text else 0)
        key_words.append(len(parts))
        word_hashes.extend(map(hash, parts))
        script = script_of.dominant(text)
        scripts[script] += 1
        if script == "LATIN":
            languages[_language(parts)] += 1
        if labels is not None and phrases[labels[row]] in f" {key} ":
            own_label[labels[row]] += 1
    return _Facts(
        np.frombuffer(text_hashes, np.uint64),
        np.frombuffer(key_hashes, np.uint64),
        np.frombuffer(words, np.int64),
        np.frombuffer(word_hashes, np.uint64),
        np.frombuffer(key_words, np.int64),
        scripts,
        languages,
        own_label,
    )


def _phrase(label: str) -> str:
    return f" {leak_key(label.replace('_', ' ').replace('-', ' '))} "


class _Scripts(dict[str, str]):
    """The script of a letter, by the first word of its Unicode name; each letter is looked up once."""

    def __missing__(self, letter: str) -> str:
        plain = unicodedata.normalize("NFKC", letter)[0]  # wide, bold and circled letters are letters of their script
        script = unicodedata.name(plain, _NO_SCRIPT).split()[0] if plain.isalpha() else _NO_SCRIPT
        # One Japanese text is written in all three.
        self[letter] = script = "CJK" if script in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else script
        return script

    def dominant(self, text: str) -> str:
        """The script of most letters, the first by name among equals."""
        if text.isascii():
            return "LATIN" if _LATIN.search(text) else _NO_SCRIPT
        counts = Counter[str]()
        for letter, count in Counter(text).items():
            counts[self[letter]] += count
        del counts[_NO_SCRIPT]
        return min(counts, key=lambda script: (-counts[script], script)) if counts else _NO_SCRIPT


def _language(words: Iterable[str]) -> str:
    """The language with the most stop words, if they are two or more and no other has as many."""
    counts = Counter(code for word in words if word in _LANGUAGES for code in _LANGUAGES[word])
    best = counts.most_common(2)
    if not best or best[0][1] < 2 or (len(best) > 1 and best[0][1] == best[1][1]):
        return "unknown"
    return best[0][0]


# --- rows that say the same -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Finding:
    """The rows (0-based) of one kind of fault, and the row of `other` that each of them repeats."""

    key: str
    sentence: str
    rows: np.ndarray
    twins: np.ndarray
    other: Records

    def document(self) -> dict[str, Any]:
        return {"count": len(self.rows), "rows": [int(row) + 1 for row in self.rows[:LISTED_ROWS]]}


def _findings(records: Records, facts: _Facts, against: Records | None) -> list[_Finding]:
    _, first, text_of_row = np.unique(facts.texts, return_index=True, return_inverse=True)
    keys, key_first, key_of_row = np.unique(facts.keys, return_index=True, return_inverse=True)
    every = np.arange(len(records))
    twin = first[text_of_row]
    starts = np.cumsum(facts.key_words) - facts.key_words
    group = near(facts.word_hashes, starts[key_first], facts.key_words[key_first])[key_of_row]
    group_first = np.full(len(keys), len(records))
    np.minimum.at(group_first, group, every)
    near_twin = group_first[group]
    torn, torn_twin = _conflicts(records.labels, key_of_row, key_first)
    leaks, leak_twin = _leaks(facts.keys, against)
    doubles, alike = twin != every, (twin == every) & (near_twin != every)
    return [
        _Finding("duplicates", "rows that repeat an earlier row exactly", every[doubles], twin[doubles], records),
        _Finding("near_duplicates", "rows that repeat an earlier row but for case, punctuation or one word",
                 every[alike], near_twin[alike], records),
        _Finding("conflicts", "rows whose text also has another label", torn, torn_twin, records),
        _Finding("leaks", "rows that stand in the other file too", leaks, leak_twin, against or records),
    ]  # fmt: skip


def _conflicts(
    labels: Sequence[str] | None, key_of_row: np.ndarray, key_first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All rows whose key has more than one label, each with a row of that key and of another label."""
    if labels is None:
        return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    names = {name: number for number, name in enumerate(dict.fromkeys(labels))}
    label_of_row = np.array([names[label] for label in labels], dtype=np.int64)
    pairs, pair_first = np.unique(key_of_row * len(names) + label_of_row, return_index=True)
    pair_key = pairs // len(names)
    rows = np.flatnonzero((np.bincount(pair_key, minlength=len(key_first)) > 1)[key_of_row])
    lowest = key_first[key_of_row[rows]]
    other = np.full(len(key_first), -1)  # the first row of a key that has not the label of its very first row
    contrary = label_of_row[pair_first] != label_of_row[key_first[pair_key]]
    other[pair_key[contrary]] = pair_first[contrary]
    same = label_of_row[rows] == label_of_row[lowest]
    return rows, np.where(same, other[key_of_row[rows]], lowest)


def _leaks(keys: np.ndarray, against: Records | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose key stands in the other file, each with its first row there."""
    if against is None or not len(against):
        return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    others = np.array(array("Q", (fingerprint(leak_key(text)) for text in against.texts)))
    known, first = np.unique(others, return_index=True)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    rows = np.flatnonzero(known[place] == keys)
    return rows, first[place[rows]]


# --- lengths and labels ---------------------------------------------------------------------------------------


def _counted(texts: Sequence[str], tokens: Callable[[Sequence[str]], list[int]]) -> np.ndarray:
    counts = [count for start in range(0, len(texts), 10_000) for count in tokens(texts[start : start + 10_000])]
    return np.array(counts)


def _lengths(lengths: np.ndarray, unit: str) -> dict[str, Any]:
    """Numbers that some row really has: no percentile lies between two lengths."""
    if not len(lengths):
        return {"unit": unit, "median": 0, "p95": 0, "max": 0, "covers_99": 0}
    median, p95, p99 = np.quantile(lengths, [0.5, 0.95, 0.99], method="inverted_cdf").tolist()
    return {"unit": unit, "median": median, "p95": p95, "max": int(lengths.max()), "covers_99": p99}


def _variants(classes: Iterable[str]) -> list[list[str]]:
    """Groups of labels that differ only by case or space."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(classes):
        groups[" ".join(name.casefold().split())].append(name)
    return [names for names in groups.values() if len(names) > 1]


def _told(records: Records, own: Counter[str], classes: dict[str, int]) -> list[dict[str, Any]]:
    """Labels whose name stands in half of their own texts, and at most half as often in the others'."""
    suspects = {
        label: _phrase(label) for label, rows in classes.items() if own[label] >= 3 and own[label] >= 0.5 * rows
    }
    if not suspects:
        return []
    others = Counter[str]()
    for text, name in zip(records.texts, records.labels or (), strict=True):
        key = f" {leak_key(text)} "
        others.update(label for label, phrase in suspects.items() if label != name and phrase in key)
    return [
        {"label": label, "share": own[label] / classes[label], "count": own[label]}
        for label in suspects
        if others[label] / max(len(records) - classes[label], 1) <= 0.5 * own[label] / classes[label]
    ]


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


# --- for people -----------------------------------------------------------------------------------------------


def _remarks(records: Records, classes: dict[str, int]) -> list[str]:
    """What is worth a word but no fault of the data."""
    remarks = list(records.notes)
    if len(classes) == 1:
        remarks.append("there is one class only: nothing can be learned")
    small = [name for name, rows in classes.items() if rows < 10]
    if small:
        remarks.append(f"classes with fewer than 10 rows: {_quoted(small)}")
    if classes and max(classes.values()) > 10 * min(classes.values()):
        remarks.append(
            "the largest class has more than ten times the rows of the smallest: read macro F1, not accuracy, and try "
            "--set class_weights=balanced"
        )
    return remarks


def _shifted(found: Shift | None, against: Records | None) -> list[str]:
    if found is None or against is None or found["p_value"] > SURE or found["distance"] < FAR:
        return []
    return [
        f"the shares of the classes are others in {against.source}, by {percent(found['distance'])} of the rows: "
        f"{shown(found['label'], 40)!r} has {percent(found['share'])} here and {percent(found['other_share'])} there; "
        "calibration and coverage do not carry over"
    ]


def _quoted(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(shown(name, 40)) for name in names[:5]) + more


def _body(
    records: Records, against: Records | None, data: dict[str, Any], findings: list[_Finding]
) -> list[Table | str]:
    rows, lengths = len(records), data["lengths"]
    body: list[Table | str] = [
        f"{rows} rows, {len(data['classes'])} classes. Texts have {lengths['median']} {lengths['unit']} (median),"
        f" {lengths['p95']} (95 %), {lengths['max']} (longest);"
        f" max_seq_len {lengths['covers_99']} covers 99 % of the rows.",
        Table(
            "Findings",
            ["kind", "rows", "share"],
            [
                [finding.key.replace("_", " "), len(finding.rows), percent(len(finding.rows) / max(rows, 1))]
                for finding in findings
                if finding.key != "leaks" or against is not None
            ],
        ),
    ]
    if data["classes"]:
        cells = [[shown(name, 40), count, percent(count / rows)] for name, count in data["classes"].items()]
        body.append(Table("Classes", ["label", "rows", "share"], cells))
    body += [_examples(records, finding) for finding in findings if len(finding.rows)]
    body += data["warnings"]
    if data["clean"]:
        body.append("Nothing found that --strict refuses.")
    return body


def _examples(records: Records, finding: _Finding) -> Table:
    cells = []
    rows, twins = map(int, finding.rows[:_EXAMPLES]), map(int, finding.twins[:_EXAMPLES])
    for row, twin in zip(rows, twins, strict=True):
        label = shown(records.labels[row], 40) if records.labels else None
        cells.append([records.lines[row], finding.other.lines[twin], label, shown(records.texts[row])])
    more = len(finding.rows) - len(cells)
    title = finding.key.replace("_", " ").capitalize()
    like = f"like line of {finding.other.source}" if finding.other is not records else "like line"
    return Table(title, ["line", like, "label", "text"], cells, f"and {more} more" if more else "")
