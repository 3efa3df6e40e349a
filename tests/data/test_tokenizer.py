"""Laws of text to ids: no empty row, no silent cut, no special token from a user's keyboard, no byte lost."""

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.data import borrowed
from scriptchain.data.text import model_text
from scriptchain.data.tokenizer import CHARACTERS_A_TOKEN, CLS, KINDS, MASK, PAD, SEP, SPECIAL, UNK, Tokenizer
from scriptchain.errors import ConfigError, ModelError

TEXTS = [
    "The food was good and the wine was not", "Don't you dare call it rock'n'roll", "the view was great, really great!",
    "größer als je zuvor", "猫が好きです 🙂", "good food, good wine, good view", "it's what it is: don't",
]  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=60)
TYPED = st.lists(st.sampled_from([*SPECIAL, "[pad]", "[ PAD ]", "[[CLS]]", "food", "the", " ", "👍"]), max_size=12).map(
    "".join
)


def trained(kind: str, *, length: int = 12, cls: bool = False, lowercase: bool = True, texts=TEXTS) -> Tokenizer:
    return Tokenizer.train(
        texts, kind=kind, vocab_size=400, min_frequency=1, lowercase=lowercase, max_seq_len=length, with_cls=cls
    )


def of_pieces(pieces, texts, size: int, *, length: int = 60, cls: bool = True) -> Tokenizer:
    return borrowed.of_pieces(pieces, texts, vocab_size=size, lowercase=True, max_seq_len=length, with_cls=cls)


ENGLISH = ["the", "food", "##s", *"!?[]xyz", *(f"##{letter}" for letter in "xyz")]
ALL = {(kind, cls): trained(kind, cls=cls) for kind in KINDS for cls in (False, True)}
ALL |= {("wordpiece", cls): of_pieces(ENGLISH, [], 99, length=12, cls=cls) for cls in (False, True)}
LIKELY = {"▁": -2.0, "▁the": -3.0, "▁food": -4.0, "<s>": 0.0, **dict.fromkeys("!?[]xyzthefood", -6.0), "oo": -5.5}


def of_scores(scores, texts, size: int, *, length: int = 60, cls: bool = True) -> Tokenizer:
    return borrowed.of_scores(
        scores, texts, without=["<s>"], vocab_size=size, max_seq_len=length, with_cls=cls
    )  # fmt: skip


ALL |= {("unigram", cls): of_scores(LIKELY, [], 99, length=12, cls=cls) for cls in (False, True)}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
WHOLE = trained("whole", length=4096, texts=["the food", "the wine", "🙂 food"])


def text_of(tokenizer: Tokenizer, ids) -> list[int]:
    """The ids of the text itself, without what stands before and behind it."""
    ids = [int(number) for number in ids]
    if tokenizer.vocabulary.get(SEP) == len(SPECIAL):
        assert ids.pop() == len(SPECIAL)
    return ids[tokenizer.cls :]


every_kind = pytest.mark.parametrize("tokenizer", ALL.values(), ids=[f"{kind}-{cls}" for kind, cls in ALL])


# --- rows ----------------------------------------------------------------------------------------------------


@every_kind
@given(texts=st.lists(ANY_TEXT | TYPED, min_size=1, max_size=4))
def test_a_row_is_never_empty_and_never_too_long_and_every_cut_is_told(tokenizer, texts):
    encoded = tokenizer.encode(texts)
    lengths = tokenizer.lengths(texts)
    assert len(encoded.ids) == len(encoded.truncated) == len(lengths) == len(texts)
    for ids, cut, length in zip(encoded.ids, encoded.truncated, lengths, strict=True):
        assert ids.dtype == np.int64
        assert len(ids) == min(length, tokenizer.max_seq_len) >= 1
        assert cut == (length > tokenizer.max_seq_len)
        assert ids.min() >= 0
        assert ids.max() < tokenizer.vocab_size


@every_kind
@pytest.mark.parametrize("text", ["", " ", "\0\u200b", "!?"])
def test_a_text_without_a_token_is_one_unknown(tokenizer, text):
    ids = text_of(tokenizer, tokenizer.encode([text]).ids[0])
    if text == "!?" and tokenizer not in (ALL["word", False], ALL["word", True]):
        assert UNK not in ids  # to bytes and to word pieces, punctuation is something
    else:
        assert ids == [UNK]


@every_kind
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_a_text_has_the_same_ids_alone_and_beside_others(tokenizer, texts):
    together = tokenizer.encode(texts).ids
    alone = [tokenizer.encode([text]).ids[0] for text in texts]
    assert [ids.tolist() for ids in together] == [ids.tolist() for ids in alone]


@every_kind
def test_the_limit_is_exact(tokenizer):
    room = tokenizer.max_seq_len - len(tokenizer.encode(["the"]).ids[0]) + 1
    texts = [" ".join(["the"] * words) for words in (room - 1, room, room + 1)]
    encoded = tokenizer.encode(texts)
    assert tokenizer.lengths(texts) == [tokenizer.max_seq_len - 1, tokenizer.max_seq_len, tokenizer.max_seq_len + 1]
    assert encoded.truncated.tolist() == [False, False, True]
    assert [len(ids) for ids in encoded.ids] == [
        tokenizer.max_seq_len - 1,
        tokenizer.max_seq_len,
        tokenizer.max_seq_len,
    ]
    assert encoded.ids[2].tolist() == encoded.ids[1].tolist()


@every_kind
@pytest.mark.parametrize("letters", [700, 768, 769, 800, 3000, 3073, 4000])
def test_nothing_is_lost_without_a_word(tokenizer, letters):
    # one word of many letters is one token at word level, and what follows it must be read or be told
    encoded = tokenizer.encode([f"{'x' * letters} food"])
    whole = tokenizer._backend.encode(f"{'x' * letters} food", add_special_tokens=False).ids
    assert encoded.truncated[0] or text_of(tokenizer, encoded.ids[0]) == whole


# --- special tokens ------------------------------------------------------------------------------------------


@every_kind
@given(text=TYPED | ANY_TEXT)
def test_cls_is_first_exactly_when_it_is_asked_for_and_typed_ones_are_text(tokenizer, text):
    ids = tokenizer.encode([text]).ids[0].tolist()
    assert (ids[0] == CLS) == tokenizer.cls
    assert not set(text_of(tokenizer, ids)) & {PAD, CLS, MASK, tokenizer.vocabulary.get(SEP)}


@pytest.mark.parametrize("name", SPECIAL)
def test_a_special_token_that_is_typed_is_the_word_in_brackets(name):
    bpe, word = ALL["bpe", False], ALL["word", False]
    assert not set(bpe.encode([f"{name} food"]).ids[0].tolist()) & {PAD, UNK, CLS, MASK}
    assert word.encode([f"{name} food"]).ids[0].tolist() == [UNK, word.vocabulary["food"]]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_the_training_texts_do_not_become_special(kind):
    tokenizer = trained(kind, texts=["[CLS] one [PAD] two", "[MASK] one"] * 3)
    ids = text_of(tokenizer, tokenizer.encode(["[PAD] [CLS] [MASK] [SEP]"]).ids[0])
    assert not set(ids) & {PAD, CLS, MASK, tokenizer.vocabulary.get(SEP)}


@every_kind
def test_the_special_tokens_have_the_first_four_ids(tokenizer):
    assert (PAD, UNK, CLS, MASK) == (0, 1, 2, 3)
    assert tokenizer.tokens([PAD, UNK, CLS, MASK]) == SPECIAL == ["[PAD]", "[UNK]", "[CLS]", "[MASK]"]


# --- byte-level BPE loses nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize("lowercase", [True, False])
def test_bpe_loses_no_byte_of_any_text(lowercase):
    tokenizer = trained("bpe", length=4096, lowercase=lowercase)

    @given(ANY_TEXT)
    def law(text):
        encoded = tokenizer.encode([text])
        expected = model_text(text)
        if lowercase:
            expected = "".join(lowered(character) for character in expected)
        decoded = tokenizer._backend.decode(encoded.ids[0].tolist(), skip_special_tokens=True)
        assert not encoded.truncated[0]
        assert decoded.removeprefix(" ") == expected

    law()


def lowered(character: str) -> str:
    # Rust lowers character by character, Python looks at the end of a word for the Greek sigma.
    return character.lower()


@given(ANY_TEXT)
def test_nfc_and_nfd_have_the_same_ids(text):
    for tokenizer in ALL.values():
        one, other = tokenizer.encode([unicodedata.normalize(form, text) for form in ("NFC", "NFD")]).ids
        assert one.tolist() == other.tolist()


@given(ANY_TEXT)
def test_case_is_ignored_unless_it_is_asked_for(text):
    ascii_text = text.encode("ascii", "ignore").decode()
    one, other = ALL["bpe", False].encode([ascii_text, ascii_text.upper()]).ids
    assert one.tolist() == other.tolist()


def test_case_is_kept_where_it_is_asked_for():
    tokenizer = trained("bpe", lowercase=False)
    one, other = tokenizer.encode(["The", "the"]).ids
    assert one.tolist() != other.tolist()


# --- word level ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't call it ROCK'N'ROLL!", ["don't", "call", "it", "rock'n'roll"]),
        ("great, really -- great...", ["great", "really", "great"]),
        ("'good' \"food\" (wine)", ["good", "food", "wine"]),
        ("größer", ["größer"]),
        ("it's 🙂 it", ["it's", "it"]),
        ("food zzz wine", ["food", "[UNK]", "wine"]),
    ],
)
def test_words_keep_their_inner_apostrophes_and_punctuation_goes(text, words):
    tokenizer = ALL["word", False]
    assert tokenizer.tokens(tokenizer.encode([text]).ids[0].tolist()) == words


def test_rare_words_are_left_out():
    texts = ["often often seldom", "often twice", "twice"]
    tokenizer = Tokenizer.train(
        texts, kind="word", vocab_size=300, min_frequency=2, lowercase=True, max_seq_len=9, with_cls=False
    )
    assert set(tokenizer.vocabulary) == {*SPECIAL, "often", "twice"}


# --- whole words ----------------------------------------------------------------------------------------------


def whole(*texts: str, lowercase: bool = True) -> Tokenizer:
    return Tokenizer.train(
        texts, kind="whole", vocab_size=500, min_frequency=2, lowercase=lowercase, max_seq_len=40, with_cls=False
    )


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What is it?", ["Ġwhat", "Ġis", "Ġit", "?"]),
        ("it isn't a what", ["Ġit", "Ġisn't", "Ġa", "Ġwhat"]),
        ("what 's it", ["Ġwhat", "Ġ's", "Ġit"]),
        ("a zebra is a zebu", ["Ġa", "[UNK]", "Ġis", "Ġa", "[UNK]"]),
        ("what\n  is", ["Ġwhat", "Ġis"]),
        ("1998 is 1997", ["1998", "Ġis", "19", "9", "7"]),
        ("it (is) it", ["Ġit", "(", "[UNK]", ")", "Ġit"]),
    ],
)
def test_words_seen_twice_are_one_token_and_rare_ones_are_unknown(text, tokens):
    tokenizer = whole("What is it? a", "what 's it, isn't a", "isn't it: what 's is", "1998", "in 1998")
    assert tokenizer.tokens(tokenizer.encode([text]).ids[0].tolist()) == tokens


@given(st.text(st.characters(exclude_categories=["Cs", "Z", "C"], exclude_characters=LETTERS + "İ"), max_size=20))
def test_no_sign_of_another_script_is_ever_unknown(text):
    """What has no letter a to z, in lower case either (İ has an i), goes to its bytes: emoji, scripts never seen."""
    tokenizer = WHOLE
    ids = tokenizer.encode([text]).ids[0].tolist()
    assert UNK not in ids or not model_text(text)
    assert tokenizer._backend.decode(ids) == "".join(lowered(c) for c in model_text(text)) or not model_text(text)


def test_scripts_without_spaces_get_pieces_of_their_own():
    tokenizer = whole("東京に行きたい", "東京に住みたい", "東京は大きい")
    ids = tokenizer.encode(["大きい東京に"]).ids[0]
    assert len(ids) < len("大きい東京に".encode())
    assert UNK not in ids


def test_case_is_kept_in_whole_words_where_it_is_asked_for():
    tokenizer = whole("It is It", "is it", "it", lowercase=False)
    assert tokenizer.tokens(tokenizer.encode(["It it IT"]).ids[0].tolist()) == ["ĠIt", "Ġit", "[UNK]"]


# --- the vocabulary ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary_comes_from_the_training_texts_alone(kind):
    tokenizer = trained(kind)
    before = tokenizer.to_json()
    tokenizer.encode(["quokka quokka quokka"])
    tokenizer.lengths(["quokka quokka quokka"])
    assert tokenizer.to_json() == before
    assert not any("quokka" in token for token in tokenizer.vocabulary)
    if kind == "word":
        words = {word.strip("!:,") for text in TEXTS for word in text.lower().split()} - {"🙂"}
        assert set(tokenizer.vocabulary) == {*SPECIAL, *words}


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary_is_never_larger_than_asked(kind):
    texts = [f"word{number} other{number * 7}" for number in range(500)]
    tokenizer = Tokenizer.train(
        texts, kind=kind, vocab_size=300, min_frequency=1, lowercase=True, max_seq_len=9, with_cls=False
    )
    assert tokenizer.vocab_size == len(tokenizer.vocabulary) == 300


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_the_same_document(kind):
    assert trained(kind).to_json() == trained(kind).to_json()
    assert trained(kind, texts=iter(TEXTS)).to_json() == trained(kind).to_json()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError) as caught:
        trained("wordpiece")
    assert str(caught.value) == "tokenizer must be one of word, bpe, whole, got 'wordpiece'"


# --- the vocabulary of another model --------------------------------------------------------------------------

PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", "[", "]", *"abcdefg",
          *(f"##{letter}" for letter in "abcdefg"),
          "bad", "##de", "cab", "face", "##ce", "dad", "bead", "##ge", "a", "ad"]  # fmt: skip
SPELLED = st.lists(st.text("abcdefg!", min_size=1, max_size=9), min_size=1, max_size=6).map(" ".join)


def pruned(texts, size: int) -> Tokenizer:
    return of_pieces(PIECES, texts, size)


def spelled(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.tokens(text_of(tokenizer, tokenizer.encode([text]).ids[0]))


@given(text=SPELLED, size=st.integers(22, 40))
def test_fewer_pieces_spell_the_same_letters(text, size):
    tokenizer = pruned(["bad dad"], size)
    pieces = spelled(tokenizer, text)
    assert "".join(piece.removeprefix("##") for piece in pieces) == text.replace(" ", "")
    assert tokenizer.vocab_size <= size


@given(texts=st.lists(SPELLED, min_size=1, max_size=3))
def test_the_texts_that_it_was_cut_to_are_spelled_as_before(texts):
    whole = pruned([], 999)
    used = {piece for text in texts for piece in spelled(whole, text)}
    characters = {piece for piece in PIECES if len(piece.removeprefix("##")) == 1}
    tokenizer = pruned(texts, len(SPECIAL) + 1 + len(used | characters))
    assert [spelled(tokenizer, text) for text in texts] == [spelled(whole, text) for text in texts]
    assert set(tokenizer.vocabulary) == {*SPECIAL, SEP} | used | characters


def test_the_reserve_is_the_first_of_the_others_and_the_order_is_kept():
    tokenizer = pruned(["face"], len(SPECIAL) + 1 + 17 + 2)
    first = [*SPECIAL, SEP, "!", "[", "]", *"abcdefg", *(f"##{c}" for c in "abcdefg"), "bad", "face"]
    assert sorted(tokenizer.vocabulary, key=tokenizer.vocabulary.__getitem__) == first


def test_a_pruned_vocabulary_can_be_read_again():
    tokenizer = pruned(["a bad face"], 30)
    again = Tokenizer.from_json(
        json.loads(tokenizer.to_json()), kind="wordpiece", lowercase=True, max_seq_len=60, with_cls=True
    )
    assert again.to_json() == tokenizer.to_json()


CHANCES = {"▁": -2.0, "bad": -8.0, "▁a": -3.0, **{letter: -5.0 - n for n, letter in enumerate("abcdefg!")}, "de": -6.0,
           "▁cab": -9.0, "face": -7.5, "▁f": -6.5, "ce": -8.5, "ad": -9.5, "▁da": -4.0, "<s>": 0.0}  # fmt: skip


@given(texts=st.lists(SPELLED, min_size=1, max_size=3))
def test_the_texts_that_likely_pieces_were_cut_to_are_spelled_as_before(texts):
    whole = of_scores(CHANCES, [], 999)
    used = {piece for text in texts for piece in spelled(whole, text)}
    characters = {piece for piece in CHANCES if piece.removeprefix("▁") in {"", *"".join(texts)}} | {"!"}  # the rarest
    tokenizer = of_scores(CHANCES, texts, len(SPECIAL) + 1 + len(used | characters))
    assert [spelled(tokenizer, text) for text in texts] == [spelled(whole, text) for text in texts]
    assert set(tokenizer.vocabulary) == {*SPECIAL, SEP} | used | characters


def test_the_likeliest_pieces_are_taken_and_none_that_is_special():
    tokenizer = of_scores(CHANCES, [], 99)
    assert spelled(tokenizer, "face a cab") == ["▁", "face", "▁a", "▁cab"]
    ids = text_of(tokenizer, tokenizer.encode(["<s> [SEP] <mask> [PAD] [CLS]"]).ids[0])
    assert {number for number in ids if number < 5} == {1}


def test_what_unicode_calls_one_character_is_one_to_likely_pieces():
    plain, *others = of_scores(CHANCES, [], 99).encode(["a bad 猫 猫", "ａ　ｂａｄ 猫 猫", "a bad 猫\u200d猫"]).ids
    assert [ids.tolist() for ids in others] == [plain.tolist()] * 2


@pytest.mark.parametrize("pair", [["▁a", -3.0], ["new", None], ["new", float("inf")], [3, -1.0], "new", ["new"]])
def test_scores_that_are_none_are_refused(pair):
    document = json.loads(of_scores(CHANCES, [], 99).to_json())
    document["model"]["vocab"].append(pair)
    with pytest.raises(ModelError) as caught:
        Tokenizer.from_json(document, kind="unigram", lowercase=False, max_seq_len=9, with_cls=True)
    assert str(caught.value) == "tokenizer.json must give each piece once, with its score, got another vocabulary"


# --- files ---------------------------------------------------------------------------------------------------


@every_kind
@given(texts=st.lists(ANY_TEXT | TYPED, min_size=1, max_size=3))
def test_a_tokenizer_is_what_its_document_says(tokenizer, texts):
    again = reread(tokenizer, json.loads(tokenizer.to_json()))
    assert [ids.tolist() for ids in again.encode(texts).ids] == [ids.tolist() for ids in tokenizer.encode(texts).ids]
    assert again.to_json() == tokenizer.to_json()
    assert again.vocab_size == tokenizer.vocab_size


def reread(tokenizer: Tokenizer, document) -> Tokenizer:
    kind = next(kind for (kind, _), one in ALL.items() if one is tokenizer)
    return Tokenizer.from_json(
        document, kind=kind, lowercase=True, max_seq_len=tokenizer.max_seq_len, with_cls=tokenizer.cls
    )


@every_kind
def test_only_the_vocabulary_of_a_document_is_taken(tokenizer):
    """Everything else is what the code builds, so that no regex and no step of a file is ever run."""
    document = json.loads(tokenizer.to_json())
    for key in ("normalizer", "pre_tokenizer", "decoder"):
        if document[key] is None:
            continue
        older = {**document, key: {name: value for name, value in document[key].items() if name == "type"}}
        assert reread(tokenizer, older).to_json() == tokenizer.to_json()  # as a library that writes less would
        for other in (None, {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}):
            with pytest.raises(ModelError, match="must be a tokenizer of kind"):
                reread(tokenizer, {**document, key: other})
    for more in ({"padding": {"strategy": "BatchLongest"}}, {"auto_map": "x"}):
        with pytest.raises(ModelError, match="must be a tokenizer of kind"):
            reread(tokenizer, document | more)


# --- long texts ----------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("unit", ["food ", "x", "é", "🙂", "\u200b", "!", " "])
def test_a_text_of_many_megabytes_costs_no_more_than_its_beginning(tokenizer, unit, monkeypatch):
    seen, backend = [], tokenizer._backend

    class Spy:
        get_vocab_size = backend.get_vocab_size

        def encode_batch_fast(self, texts, add_special_tokens):
            seen.extend(map(len, texts))
            return backend.encode_batch_fast(texts, add_special_tokens=add_special_tokens)

    monkeypatch.setattr(tokenizer, "_backend", Spy())
    text = unit * (5_000_000 // len(unit))
    encoded = tokenizer.encode([text])
    assert 1 <= len(encoded.ids[0]) <= tokenizer.max_seq_len
    assert encoded.truncated[0]
    assert max(seen) <= CHARACTERS_A_TOKEN * tokenizer.max_seq_len
