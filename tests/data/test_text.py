"""Laws of what a text is to the model (D22 to D25 of the fault catalogue)."""

# ruff: noqa: N802 - a test is named after its row of the fault catalogue

import hashlib
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.data.text import digest, fingerprint, leak_key, model_text

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)
# Where normal forms are hard: marks, joiners, punctuation, compatibility and case oddities next to each other.
AWKWARD = st.text(
    st.sampled_from([*"aAiI.-'!… \t\n", *"ßİıſK①⑴½ﷺΐΰŉ", "\u0301", "\u0345", "\u200d", "\u200b", "\ud800"]),
    max_size=8,
)


@given(ANY_TEXT | AWKWARD)
def test_a_model_text_is_its_own_model_text_and_a_leak_key_its_own_leak_key(text):
    assert model_text(model_text(text)) == model_text(text)
    assert leak_key(leak_key(text)) == leak_key(text)
    assert leak_key(model_text(text)) == leak_key(text)


def changes(character):
    plain = unicodedata.category(character) in ("Lo", "Cn", "Co", "Cs", "So")
    return not plain or unicodedata.normalize("NFKD", character) != character


def test_every_single_character_has_stable_forms():
    hangul = range(0xAC00, 0xD7A4)  # eleven thousand that all behave alike
    for character in filter(changes, map(chr, {*range(0x110000)}.difference(hangul))):
        text, key = model_text(character), leak_key(character)
        assert (model_text(text), leak_key(key), bool(key)) == (text, key, bool(text)), hex(ord(character))


@given(ANY_TEXT | AWKWARD)
def test_a_visible_text_never_has_an_empty_leak_key(text):
    assert bool(leak_key(text)) == bool(model_text(text))


@given(ANY_TEXT | AWKWARD)
def test_D22_nfc_and_nfd_are_one_text(text):
    forms = {model_text(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert forms == {model_text(text)}
    assert len({leak_key(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}) == 1


@given(ANY_TEXT)
def test_a_model_text_has_single_spaces_and_no_control_or_lone_surrogate(text):
    clean = model_text(text)
    assert clean == " ".join(clean.split())
    assert {unicodedata.category(character) for character in clean} <= ALLOWED
    assert {c for c in clean if unicodedata.category(c) == "Cf"} <= {"\u200c", "\u200d"}


ALLOWED = {
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Cf", "Co", "Cn"),
}


@pytest.mark.parametrize(
    "dirty",
    [
        "ab\u200bcd",
        "ab\u00adcd",
        "\u202eabcd\u202c",
        "a\u2066bc\u2069d",
        "abcd\U000e0041",
        "\ufeffabcd",
        "ab\x00\x07cd\x7f",
    ],
    ids=ascii,
)
def test_D23_invisible_characters_inside_a_word_change_nothing(dirty):
    assert model_text(dirty) == "abcd"
    assert leak_key(dirty) == "abcd"


@pytest.mark.parametrize("space", [*"\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u2002\u2028\u2029\u3000", "\r\n \t"], ids=ascii)
def test_D23_every_separator_is_one_space_and_glues_no_words(space):
    assert model_text(f"{space}one{space}two{space}") == "one two"


@pytest.mark.parametrize("joiners", ["\u200c", "\u200d", "\u200d\u200c\u200d"])
def test_D24_joiners_that_spell_nothing_go(joiners):
    for before, behind in (
        ("pa", "y"),
        ("é", "t"),
        ("e", "\u0301"),
        ("да", "ня"),
        ("λό", "γος"),
        ("1", "0"),
        ("", "a"),
    ):
        assert model_text(before + joiners + behind) == model_text(before + behind)
    assert model_text(f"a{joiners} {joiners}می") == "a می"


def test_D24_joiners_and_variation_selectors_of_emoji_and_scripts_stay():
    family, heart, flag, skin = "👨\u200d👩\u200d👧", "❤\ufe0f", "🇺🇦", "👍🏽"
    persian = "می\u200cخواهم"
    for text in (family, heart, flag, skin, persian):
        assert model_text(text) == text
    assert model_text("\ud83d alone") == "\ufffd alone"


def test_D25_homoglyphs_are_other_texts():
    assert leak_key("p\u0430ypal") != leak_key("paypal")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello world"),
        ("don't", "dont"),
        ("Straße", "STRASSE"),
        ("ﬁne…", "FINE"),
        ("ｗｉｄｅ", "wide"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("a  b\tc", "a b c"),
        ("„gut“", "gut"),
        ("می\u200cخواهم", "میخواهم"),
        ("a.\u0301", "á"),
    ],
)
def test_D20_texts_that_differ_only_in_form_have_one_leak_key(one, other):
    assert leak_key(one) == leak_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("5 $", "5 €"), ("good 😀", "good 😡"), ("!!!", "???"), ("c++", "c"), ("1.5", "1 5")]
)
def test_symbols_and_texts_of_nothing_but_punctuation_stay_apart(one, other):
    assert leak_key(one) != leak_key(other)


def test_a_fingerprint_is_64_bits_of_blake2b_on_every_machine():
    assert fingerprint("") == 0xE4A6A0577479B2B4
    assert fingerprint("hello world") == 0x878633AA32A3B150  # as b2sum -l 64 says


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_a_digest_is_that_of_the_whole_document_as_json(document):
    assert digest(document) == hashlib.sha256(json.dumps(document).encode()).hexdigest()
