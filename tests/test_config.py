"""Laws of the schema: every key has a rule, the nearest name is told, later sources win, depth never widens."""

import tomllib
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain import config as configs
from scriptchain.errors import ConfigError, UsageError

# --- every key has a rule, and says it -----------------------------------------------------------------------

# key, a value that breaks its rule, the rule as the user reads it
RULES = [
    ("preset", 3, "text"),
    ("frozen", 1, "true or false"),
    ("contrastive_steps", -1, "an integer >= 0"),
    ("contrastive_steps", 1_000_001, "an integer <= 1000000"),
    ("masked_epochs", -1, "an integer >= 0"),
    ("masked_epochs", 1_000_001, "an integer <= 1000000"),
    ("model", "tree", "one of encoder, linear"),
    ("init", "a", "a table"),
    ("init", {"weights": "a"}, "one of backbone, embeddings"),
    ("init", {"backbone": 1}, "text"),
    ("tokenizer", "letters", "one of word, bpe, whole, wordpiece, roberta, unigram"),
    ("lowercase", "yes", "true or false"),
    ("lowercase", 1, "true or false"),
    ("vocab_size", 299, "an integer >= 300"),
    ("vocab_size", 10_000_001, "an integer <= 10000000"),
    ("vocab_size", "many", "an integer"),
    ("vocab_size", 1000.5, "an integer"),
    ("min_frequency", 0, "an integer >= 1"),
    ("min_frequency", 10**9 + 1, "an integer <= 1000000000"),
    ("max_seq_len", 1, "an integer >= 2"),
    ("max_seq_len", 65_537, "an integer <= 65536"),
    ("d_model", 0, "an integer >= 1"),
    ("d_model", 65_537, "an integer <= 65536"),
    ("d_model", None, "an integer"),
    ("num_heads", 0, "an integer >= 1"),
    ("num_heads", 1025, "an integer <= 1024"),
    ("num_layers", 0, "an integer >= 1"),
    ("num_layers", 1025, "an integer <= 1024"),
    ("d_feedforward", 0, "an integer >= 1"),
    ("d_feedforward", 65_537, "an integer <= 65536"),
    ("activation", "silu", "one of relu, gelu"),
    ("residual", "sandwich", "one of pre_norm, post_norm, deep_norm, rezero"),
    ("residual_scale", 0, "a number > 0.0"),
    ("residual_scale", nan, "a number > 0.0"),
    ("residual_scale", inf, "a number <= 1000000.0"),
    ("branch_scale", 0.5, "text"),
    ("branch_scale", "inverse_depth", "one of none, inverse_sqrt_depth"),
    ("layer_scale", -0.1, "a number >= 0.0"),
    ("layer_scale", 1e7, "a number <= 1000000.0"),
    ("stochastic_depth", -0.1, "a number >= 0.0"),
    ("stochastic_depth", 1, "a number < 1.0"),
    ("qk_norm", "yes", "true or false"),
    ("positions", 3, "text"),
    ("positions_options", [1], "a table"),
    ("positions_options", {1: 2}, "text"),
    ("positions_shared", 1, "true or false"),
    ("positions_reinjected", 1, "true or false"),
    ("embedding_std", 0, "a number > 0.0"),
    ("embedding_std", 1e7, "a number <= 1000000.0"),
    ("token_ngrams", -0.1, "a number >= 0.0"),
    ("token_ngrams", 1e7, "a number <= 1000000.0"),
    ("embedding_norm", "no", "true or false"),
    ("pooling", "median", "one of mean, max, cls, attention"),
    ("pooled_layers", 0, "an integer >= 1"),
    ("pooled_layers", 2_000, "an integer <= 1024"),
    ("head_layers", 3, "a list"),
    ("head_layers", [0], "an integer >= 1"),
    ("head_layers", [70_000], "an integer <= 65536"),
    ("num_classes", 1, "an integer >= 2"),
    ("num_classes", 1_000_001, "an integer <= 1000000"),
    ("num_classes", "two", "an integer or none"),
    ("dropout", -0.1, "a number >= 0.0"),
    ("dropout", 1.0, "a number < 1.0"),
    ("dropout", nan, "a number >= 0.0"),
    ("norm_eps", 0, "a number > 0.0"),
    ("norm_eps", 2.0, "a number <= 1.0"),
    ("layer_decay", 0, "a number > 0.0"),
    ("layer_decay", 1.5, "a number <= 1.0"),
    ("positions_rate", 0, "a number > 0.0"),
    ("positions_rate", 1e4, "a number <= 1000.0"),
    ("optimizer", "sgd", "one of adam, adamw"),
    ("learning_rate", 0, "a number > 0.0"),
    ("learning_rate", 1e9, "a number <= 10.0"),
    ("learning_rate", nan, "a number > 0.0"),
    ("learning_rate", "fast", "a number"),
    ("weight_decay", -1, "a number >= 0.0"),
    ("weight_decay", inf, "a number <= 1000000.0"),
    ("schedule", "linear", "one of constant, step, cosine"),
    ("warmup", -0.5, "a number >= 0.0"),
    ("warmup", 1, "a number < 1.0"),
    ("step_size", 0, "an integer >= 1"),
    ("gamma", 0, "a number > 0.0"),
    ("gamma", 1.1, "a number <= 1.0"),
    ("clip_norm", -1, "a number >= 0.0"),
    ("clip_norm", 1e7, "a number <= 1000000.0"),
    ("batch_size", 0, "an integer >= 1"),
    ("batch_size", 1_000_001, "an integer <= 1000000"),
    ("batch_tokens", -1, "an integer >= 0"),
    ("batch_tokens", 1_000_000_001, "an integer <= 1000000000"),
    ("epochs", 0, "an integer >= 1"),
    ("epochs", 1_000_001, "an integer <= 1000000"),
    ("epochs", True, "an integer"),
    ("epochs", 2**70, "an integer <= 1000000"),
    ("patience", -1, "an integer >= 0"),
    ("patience", 1_000_001, "an integer <= 1000000"),
    ("sort_by_length", 2, "true or false"),
    ("token_dropout", 1.0, "a number < 1.0"),
    ("weight_average", 1.0, "a number < 1.0"),
    ("label_smoothing", 1.0, "a number < 1.0"),
    ("class_weights", "equal", "one of balanced"),
    ("class_weights", {"a": 0}, "a number > 0.0"),
    ("class_weights", {"a": "b"}, "a number"),
    ("class_weights", 3, "text or a table or none"),
    ("precision", "fp16", "one of fp32, bf16"),
    ("seed", -1, "an integer >= 0"),
    ("seed", 2**32, "an integer <= 4294967295"),
    ("seed", 2**80, "an integer <= 4294967295"),
]


@pytest.mark.parametrize(("key", "value", "rule"), RULES, ids=lambda part: str(part)[:20])
def test_a_value_out_of_range_is_refused_with_its_rule(key, value, rule):
    with pytest.raises(ConfigError) as caught:
        configs.make({key: value})
    assert str(caught.value) == f"{key} must be {rule}, got {value!r}"
    assert caught.value.exit_code == 2


def test_every_key_has_a_rule_above():
    assert {key for key, _, _ in RULES} == set(configs.KEYS)


@pytest.mark.parametrize(
    ("d_model", "num_heads", "best"), [(128, 3, 2), (128, 7, 4), (100, 8, 5), (7, 3, 1), (64, 65, 64), (8, 1024, 8)]
)
def test_heads_must_divide_the_width_and_the_nearest_number_below_is_named(d_model, num_heads, best):
    with pytest.raises(ConfigError) as caught:
        configs.make({"d_model": d_model, "num_heads": num_heads})
    assert str(caught.value) == f"num_heads must divide d_model {d_model}, got {num_heads}; hint: num_heads={best}"
    assert configs.make({"d_model": d_model, "num_heads": best}).num_heads == best


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"residual": "rezero", "layer_scale": 0.1},
            "layer_scale must be 0 with residual rezero, whose gain starts at 0, got 0.1; hint: layer_scale=0",
        ),
        (
            {"residual": "deep_norm", "residual_scale": 0.5},
            "residual_scale must be 1 with residual deep_norm, whose depth sets it, got 0.5; hint: residual_scale=1",
        ),
        (
            {"num_heads": 128, "qk_norm": True},
            "num_heads must be less than d_model 128 with qk_norm, got 128; hint: qk_norm=false",
        ),
        (
            {"max_seq_len": 512, "batch_tokens": 256},
            "batch_tokens must be 0 or at least max_seq_len 512, got 256; hint: batch_tokens=4096",
        ),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else "",
)
def test_two_keys_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        configs.make(values)
    assert str(caught.value) == message
    for key, value in values.items():  # each is well by itself
        configs.make({key: value})


# --- an unknown key names the nearest ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("epoch", "epochs"), ("Learning_rate", "learning_rate"), ("num_layer", "num_layers"), ("layers", "num_layers"),
        ("dropuot", "dropout"), ("max_len", "max_seq_len"), ("weight-decay", "weight_decay"), ("pool", "pooling"),
    ],
)  # fmt: skip
def test_an_unknown_key_names_the_nearest(key, nearest):
    with pytest.raises(ConfigError) as caught:
        configs.make({key: 1})
    assert str(caught.value) == f"config key must be a known one, got {key!r}; hint: did you mean {nearest!r}?"


def test_a_key_near_to_none_lists_all():
    with pytest.raises(ConfigError) as caught:
        configs.make({"zzz": 1})
    assert str(caught.value) == (
        f"config key must be a known one, got 'zzz'; hint: the keys are {', '.join(configs.KEYS)}"
    )


# --- what comes later wins -----------------------------------------------------------------------------------


def test_later_sources_win(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text('preset = "seed"\nepochs = 7\nnum_layers = 4\ndropout = 0.3\nseed = 1\n')

    preset = configs.resolve("seed")
    assert (preset.preset, preset.d_model, preset.epochs, preset.num_layers) == ("seed", 128, 30, 3)

    from_file = configs.resolve(file=file)
    assert (from_file.tokenizer, from_file.epochs, from_file.num_layers) == ("word", 7, 4)

    deeper = configs.resolve(file=file, depth=6)
    assert (deeper.num_layers, deeper.epochs, deeper.dropout) == (6, 7, 0.3)

    set_too = configs.resolve(file=file, depth=6, settings=["num_layers=2", "epochs=9", "epochs=10", "seed=2"])
    assert (set_too.num_layers, set_too.epochs, set_too.seed) == (2, 10, 2)
    assert set_too.learning_rate == deeper.learning_rate

    last = configs.resolve(file=file, depth=6, settings=["epochs=9", "seed=2"], overrides={"seed": 3, "epochs": 11})
    assert (last.epochs, last.seed, last.num_layers) == (11, 3, 6)


def test_a_named_preset_wins_over_the_file_and_small_is_the_default(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text('preset = "seed"\nepochs = 7\n')
    named = configs.resolve("small", file=file)
    assert (named.preset, named.tokenizer, named.epochs) == ("small", "whole", 7)
    assert configs.resolve() == configs.resolve("small")


# --- --set ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("epochs=3", "epochs", 3),
        (" epochs = 3 ", "epochs", 3),
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        ("lowercase=false", "lowercase", False),
        ("pooling=cls", "pooling", "cls"),
        ('pooling="cls"', "pooling", "cls"),
        ("head_layers=[4, 2]", "head_layers", [4, 2]),
        ("num_classes=none", "num_classes", None),
        ("num_classes=null", "num_classes", None),
        ("class_weights=balanced", "class_weights", "balanced"),
        ("class_weights.spam=2", "class_weights", {"spam": 2.0}),
        ("class_weights={spam = 2}", "class_weights", {"spam": 2.0}),
        (
            "positions_options.learned={std = 0.5}",
            "positions_options",
            {"learned": {"std": 0.5}, "convolutional": {"mix": True}},
        ),
    ],
)
def test_a_setting_is_toml_or_a_bare_word(setting, key, value):
    assert getattr(configs.resolve("small", settings=[setting]), key) == value


@pytest.mark.parametrize("positions", ["learned/convolutional", "convolutional+learned", "rope"])
@pytest.mark.parametrize(
    "options", [{}, {"learned": {"std": 0.05}, "convolutional": {"mix": True}}], ids=["", "preset's"]
)
def test_a_written_config_keeps_the_options_of_another_encoding(positions, options, tmp_path):
    made = configs.resolve("small", overrides={"positions": positions, "positions_options": options})
    file = tmp_path / "again.toml"
    file.write_text(configs.to_toml(made), "utf-8")
    assert configs.resolve(file=file) == made


def test_the_first_equals_sign_alone_divides_a_setting():
    with pytest.raises(ConfigError, match="got 'a = b'"):
        configs.resolve("small", settings=["positions=a = b"])


def test_options_of_an_encoding_among_several_are_set_one_by_one():
    config = configs.resolve("small", settings=["positions_options.learned.std=0.5", "class_weights.a.b=2"])
    assert config.positions_options == {"learned": {"std": 0.5}, "convolutional": {"mix": True}}
    assert config.class_weights == {"a.b": 2.0}
    fresh = configs.resolve("small", settings=["positions=shape+rope", "positions_options.rope.base=50"])
    assert fresh.positions_options == {"rope": {"base": 50}}


def test_dotted_settings_add_to_the_table():
    config = configs.resolve("small", settings=["class_weights.a=2", "class_weights.b=3", "positions_options.x=1"])
    assert config.class_weights == {"a": 2.0, "b": 3.0}
    assert config.positions_options == {**configs.preset_values("small")["positions_options"], "x": 1}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "--set must be key=value, got 'epochs'; hint: --set num_layers=6"),
        ("", "--set must be key=value, got ''; hint: --set num_layers=6"),
        ("=3", "--set must be key=value, got '=3'; hint: --set num_layers=6"),
        ("epochs=", "epochs must be an integer, got ''"),
        ("epochs=none", "epochs must be an integer, got 'none'"),
        ("lowercase=False", "lowercase must be true or false, got 'False'"),
        ("learning_rate=inf", "learning_rate must be a number <= 10.0, got inf"),
        ("seed=1\nepochs=3", "seed must be an integer, got '1\\nepochs=3'"),
        ("epochs.x=3", "config key must be a known one, got 'epochs.x'; hint: did you mean 'epochs'?"),
        ("epoch=3", "config key must be a known one, got 'epoch'; hint: did you mean 'epochs'?"),
        ("preset=seed", "preset must be chosen by --preset, got --set preset=seed; hint: --preset seed"),
    ],
)
def test_a_wrong_setting_is_refused(setting, message):
    with pytest.raises(UsageError) as caught:
        configs.resolve("small", settings=[setting])
    assert str(caught.value) == message


# --- files ---------------------------------------------------------------------------------------------------


def test_a_config_file_that_cannot_be_used_is_refused(tmp_path):
    def message(name):
        with pytest.raises(ConfigError) as caught:
            configs.resolve(file=tmp_path / name)
        return str(caught.value)

    (tmp_path / "bad.toml").write_text("a = = 3\n")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "key.toml").write_text("epoch = 3\n")
    (tmp_path / "range.toml").write_text("epochs = 0\n")
    missing, folder = tmp_path / "missing.toml", tmp_path
    assert message("missing.toml") == (
        f"{missing}: the config file must exist; hint: scriptchain presets copy small my.toml"
    )
    assert message("") == f"{folder}: the config file cannot be read (Is a directory)"
    assert message("bad.toml") == (
        f"{tmp_path / 'bad.toml'}: the config file must be TOML: Invalid value (at line 1, column 5)"
    )
    assert message("bytes.toml") == (
        f"{tmp_path / 'bytes.toml'}: the config file must be TOML: "
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    )
    assert message("key.toml") == "config key must be a known one, got 'epoch'; hint: did you mean 'epochs'?"
    assert message("range.toml") == "epochs must be an integer >= 1, got 0"


# --- presets -------------------------------------------------------------------------------------------------


def test_the_presets_are_listed_in_order():
    assert configs.preset_names() == ["few", "frozen", "linear", "seed", "small", "static", "tuned"]


@pytest.mark.parametrize("name", configs.preset_names())
def test_a_preset_names_only_known_keys_and_loads(name):
    written = tomllib.loads(configs.preset_text(name))
    assert set(written) <= set(configs.KEYS) - {"preset"}
    resolved = configs.to_dict(configs.resolve(name))
    assert {key: resolved[key] for key in written} == written
    assert resolved["preset"] == name


def test_the_seed_preset_has_the_numbers_of_the_study():
    seed = configs.resolve("seed")
    assert {
        "d_model": 128, "num_heads": 8, "num_layers": 3, "max_seq_len": 15, "learning_rate": 1e-4, "optimizer": "adam",
        "schedule": "step", "step_size": 5, "gamma": 0.8, "batch_size": 32, "epochs": 30, "dropout": 0.2,
        "d_feedforward": 512, "residual": "post_norm", "positions": "learned", "positions_options": {"std": 0.01},
        "head_layers": [256, 128], "embedding_norm": True, "tokenizer": "word", "lowercase": True,
    }.items() <= configs.to_dict(seed).items()  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smal", "did you mean 'small'?"),
        ("zzz", "the presets are few, frozen, linear, seed, small, static, tuned"),
        ("../seed", "did you mean 'seed'?"),
    ],
)
def test_an_unknown_preset_names_the_nearest(name, hint):
    with pytest.raises(UsageError) as caught:
        configs.resolve(name)
    assert str(caught.value) == f"preset must be a known one, got {name!r}; hint: {hint}"


def test_no_more_layers_are_pooled_than_there_are():
    with pytest.raises(ConfigError) as caught:
        configs.resolve("frozen", settings=["num_layers=2"])
    assert str(caught.value) == "pooled_layers must be at most num_layers 2, got 3; hint: pooled_layers=2"


def test_auto_is_no_recipe():
    with pytest.raises(UsageError) as caught:
        configs.resolve("auto")
    assert str(caught.value) == (
        "preset must be one recipe here, got auto, which tries them all; "
        "hint: scriptchain train FILE --preset auto, or scriptchain.ladder.train"
    )


@pytest.mark.parametrize("value", ["0", "[1]", "{a = 1}", "1979-05-27"])
def test_a_preset_of_a_config_file_that_is_no_text(value, tmp_path):  # found by fuzzing
    (tmp_path / "odd.toml").write_text(f"preset = {value}")
    with pytest.raises(
        UsageError,
        match=r"^preset must be a known one, got .+; hint: the presets are few, frozen, linear, seed, small, static",
    ):
        configs.resolve(file=tmp_path / "odd.toml")


# --- the depth dial ------------------------------------------------------------------------------------------

DEPTHS = st.integers(1, 64)
RECIPES = st.builds(
    lambda layers, scale, rate, warmup: configs.make(
        {"num_layers": layers, "residual_scale": scale, "learning_rate": rate, "warmup": warmup}
    ),
    DEPTHS, st.floats(1e-3, 10), st.floats(1e-6, 1e-2), st.floats(0, 0.9),
)  # fmt: skip


@given(RECIPES, DEPTHS)
def test_depth_changes_only_what_follows_from_depth(config, depth):
    deeper = configs.at_depth(config, depth)
    before, after = configs.to_dict(config), configs.to_dict(deeper)
    assert {key for key in before if before[key] != after[key]} <= {
        "num_layers", "residual_scale", "learning_rate", "warmup",
    }  # fmt: skip
    assert deeper.num_layers == depth


@given(RECIPES)
def test_its_own_depth_changes_nothing(config):
    assert configs.at_depth(config, config.num_layers) == config


@given(RECIPES, DEPTHS, DEPTHS)
def test_deeper_means_smaller_branches_a_lower_rate_and_no_shorter_warm_up(config, one, other):
    shallow, deep = (configs.at_depth(config, depth) for depth in sorted((one, other)))
    assert deep.residual_scale <= shallow.residual_scale
    assert deep.learning_rate <= shallow.learning_rate
    assert deep.warmup >= shallow.warmup >= config.warmup
    if one != other:
        assert deep.residual_scale < shallow.residual_scale
        assert deep.learning_rate < shallow.learning_rate


@given(RECIPES, DEPTHS)
def test_depth_never_raises_the_warm_up_above_half_of_the_run(config, depth):
    assert configs.at_depth(config, depth).warmup <= max(0.5, config.warmup)


@pytest.mark.parametrize(
    ("warmup", "depth", "expected"),
    [
        (0.1, 3, 0.1),
        (0.1, 1, 0.1),
        (0.1, 6, 0.2),
        (0.1, 48, 0.5),
        (0.0, 3, 0.0),
        (0.0, 6, 0.1),
        (0.4, 6, 0.5),
        (0.7, 6, 0.7),
    ],
)
def test_a_deeper_stack_warms_up_longer(warmup, depth, expected):
    config = configs.resolve("small", settings=[f"warmup={warmup}"])
    assert configs.at_depth(config, depth).warmup == pytest.approx(expected)


def test_the_sum_of_the_branches_keeps_its_size():
    small = configs.resolve("small")
    for depth in (1, 12, 48):
        deeper = configs.resolve("small", depth=depth)
        assert deeper.residual_scale * depth**0.5 == pytest.approx(small.residual_scale * small.num_layers**0.5)
        assert deeper.learning_rate * depth**0.5 == pytest.approx(small.learning_rate * small.num_layers**0.5)


@pytest.mark.parametrize(
    "setting",
    ["residual=deep_norm", "residual=rezero", "branch_scale=inverse_sqrt_depth", "layer_scale=0.1"],
)
def test_branches_that_are_small_already_are_not_made_smaller_by_the_dial(setting, tmp_path):
    """Wherever it is said: in the file, behind the dial, or in Python."""
    key, value = setting.split("=")
    value = value if value[0].isalpha() else float(value)
    file = tmp_path / "my.toml"
    file.write_text(f"{key} = {value!r}\n", encoding="utf-8")
    plain = configs.resolve("small", depth=12)
    assert plain.residual_scale == pytest.approx(0.5)
    for resolved in (
        configs.resolve(file=file, depth=12),
        configs.resolve("small", settings=[setting], depth=12),
        configs.resolve("small", overrides={key: value}, depth=12),
    ):
        assert resolved == configs.replace(plain, residual_scale=1.0, **{key: value})


def test_stochastic_depth_and_norms_leave_the_dial_alone():
    settings = ["stochastic_depth=0.2", "qk_norm=true", "positions_reinjected=true", "residual=post_norm"]
    assert configs.resolve("small", settings=settings, depth=12).residual_scale == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (0, "depth must be at least 1, got 0; hint: --depth 3"),
        (-2, "depth must be at least 1, got -2; hint: --depth 3"),
        (1025, "num_layers must be an integer <= 1024, got 1025"),
    ],
)
def test_a_depth_out_of_range_is_refused(depth, message):
    with pytest.raises(ConfigError) as caught:
        configs.resolve("small", depth=depth)
    assert str(caught.value) == message


# --- round trips ---------------------------------------------------------------------------------------------

SHARES = st.floats(0, 1, exclude_max=True)
VALID = st.fixed_dictionaries(
    {},
    optional={
        "tokenizer": st.sampled_from(["word", "bpe"]),
        "lowercase": st.booleans(),
        "vocab_size": st.integers(300, 10_000_000),
        "max_seq_len": st.integers(2, 65_536),
        "num_layers": st.integers(1, 1024),
        "d_feedforward": st.integers(1, 65_536),
        "residual_scale": st.floats(0, 1e6, exclude_min=True),
        "branch_scale": st.sampled_from(["none", "inverse_sqrt_depth"]),
        "layer_scale": st.floats(0, 1e6),
        "norm_eps": st.floats(0, 1, exclude_min=True),
        "layer_decay": st.floats(0, 1, exclude_min=True),
        "positions_rate": st.floats(0, 1e3, exclude_min=True),
        "stochastic_depth": SHARES,
        "qk_norm": st.booleans(),
        "positions_shared": st.booleans(),
        "positions_reinjected": st.booleans(),
        "positions_options": st.dictionaries(st.text(), st.integers(-(2**62), 2**62) | st.text() | st.booleans()),
        "pooling": st.sampled_from(["mean", "max", "cls", "attention"]),
        "head_layers": st.lists(st.integers(1, 65_536), max_size=4),
        "num_classes": st.none() | st.integers(2, 1_000_000),
        "dropout": SHARES,
        "learning_rate": st.floats(0, 10, exclude_min=True),
        "warmup": SHARES,
        "gamma": st.floats(0, 1, exclude_min=True),
        "clip_norm": st.floats(0, 1e6),
        "epochs": st.integers(1, 1_000_000),
        "patience": st.integers(0, 1_000_000),
        "label_smoothing": SHARES,
        "class_weights": st.none() | st.just("balanced") | st.dictionaries(st.text(), st.floats(0.1, 9)),
        "precision": st.sampled_from(["fp32", "bf16"]),
        "seed": st.integers(0, 2**32 - 1),
    },
)


@given(VALID)
def test_a_config_is_what_its_values_say(values):
    config = configs.make(values)
    assert configs.to_dict(config).items() >= values.items()
    assert list(configs.to_dict(config)) == list(configs.KEYS)
    assert configs.make(configs.to_dict(config)) == config


@given(VALID, st.integers(1, 99))
def test_replace_changes_one_value_and_checks_it(values, epochs):
    config = configs.make(values)
    changed = configs.replace(config, epochs=epochs)
    assert changed.epochs == epochs
    assert configs.replace(changed, epochs=config.epochs) == config
    with pytest.raises(ConfigError, match=r"^epochs must be an integer >= 1, got 0$"):
        configs.replace(config, epochs=0)


def test_every_preset_names_what_the_default_one_names():
    """A copied preset is laid over the default one, so a key that it leaves out would come from there."""
    for name in set(configs.preset_names()) - {"linear"}:  # to which no other key means anything
        assert set(configs.preset_values("small")) <= set(configs.preset_values(name)), name


# --- another encoding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [["positions=rope"], ["positions_options.base=50", "positions=rope"]], ids=str)
def test_another_encoding_leaves_the_options_of_the_preset_behind(settings, tmp_path):
    expected = {"base": 50} if len(settings) == 2 else {}
    assert configs.resolve("small", settings=settings).positions_options == expected
    file = tmp_path / "my.toml"
    file.write_text('positions = "rope"\n', encoding="utf-8")
    assert configs.resolve(file=file).positions_options == {}
    assert configs.resolve("small", overrides={"positions": "rope"}).positions_options == {}


def test_the_same_encoding_keeps_its_options():
    assert configs.resolve("seed", settings=["positions=learned"]).positions_options == {"std": 0.01}
    assert configs.resolve("seed", overrides={"positions": "learned"}).positions_options == {"std": 0.01}


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"num_layers": 24, "residual": "deep_norm", "learning_rate": 1e-5, "lowercase": False},
        {"positions": "rope", "positions_options": {"base": 100.0, "layout": "interleaved"}},
        {"positions": "learned+convolutional", "positions_options": {"learned": {"std": 0.1}}},
        {"head_layers": [64, 32], "class_weights": {'a "quoted" name\\': 2.0, "ünïcode": 1.5}},
        {"class_weights": "balanced", "num_classes": 3},
    ],
)  # fmt: skip
@pytest.mark.parametrize("preset", ["seed", "small", "tuned"])
def test_a_config_written_is_the_config_read(preset, changes, tmp_path):
    written = configs.replace(configs.resolve(preset), **changes)
    file = tmp_path / "written.toml"
    file.write_text(configs.to_toml(written), "utf-8")
    assert configs.resolve(None, file) == written
    assert len(file.read_text("utf-8").splitlines()) <= 1 + len(changes) + ("positions" in changes)
