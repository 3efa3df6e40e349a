"""Claims about depth: what is known of initial stacks is answered, and what cannot be measured is not."""

import math

import pytest
import torch

from scriptchain import config
from scriptchain.lab import Batch
from scriptchain.lab.depth_claims import CLAIMS, DEPTHS, judge_depth, parse
from scriptchain.model.pipeline import Network

SEED = config.replace(config.resolve("seed"), d_model=64, num_heads=4, d_feedforward=128)
AS_LARGE = {"positions_options": {"std": 1.0}}


def texts() -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    ids, mask = torch.randint(4, 300, (64, 12), generator=generator), torch.ones(64, 12, dtype=torch.bool)
    return [Batch(ids, mask, torch.randint(4, (64,), generator=generator))]


def build(shaped: config.Config, seed: int) -> Network:
    torch.manual_seed(seed)
    return Network(shaped, 300, 4)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("The gradients vanish in deep stacks", "gradients vanish with layers"),
        ("exploding gradients", "gradients explode with layers"),
        ("query and key gradients vanish", "queries and keys starve with layers"),
        ("positional information is diluted in higher layers", "positions are diluted with layers"),
        ("layer norm makes the loss of position worse", "layer norm dilutes positions"),
        ("all tokens become the same", "tokens become alike with layers"),
        ("memory grows exponentially with layers", None),
    ],
)
def test_a_sentence_is_understood(sentence, said):
    found = parse(sentence)
    assert (found and found.said) == said
    assert all(parse(claim.said) is claim for claim in CLAIMS)


@pytest.mark.parametrize(
    ("sentence", "changes", "state"),
    [
        ("gradients vanish", {"residual": "post_norm"}, "FALSE"),
        ("queries and keys starve", {"residual": "post_norm"}, "TRUE"),
        ("queries and keys starve", {"residual": "pre_norm"}, "FALSE"),
        ("tokens become alike", {"residual": "post_norm"}, "TRUE"),
        ("positions are diluted", {"residual": "post_norm", **AS_LARGE}, "TRUE"),
        ("positions are diluted", {"residual": "pre_norm", **AS_LARGE}, "FALSE"),
        ("positions are diluted", {"positions": "none", "positions_options": {}}, "UNDECIDED"),
    ],
)
def test_a_claim_is_judged_by_what_the_stack_does(sentence, changes, state):
    claim = parse(sentence)
    found = judge_depth(claim, config.replace(SEED, **changes), build, texts()).data
    assert found["verdict"] == state
    assert [point["depth"] for point in found["points"]] == [depth for depth in DEPTHS for _ in range(3)]
    assert set(found["exponent"]) == {"value", "low", "high"}
    assert state != "TRUE" or found["exponent"]["high"] < 0


def test_a_norm_is_not_blamed_for_what_other_normed_stacks_keep():
    found = judge_depth(parse("layer norm dilutes positions"), config.replace(SEED, **AS_LARGE), build, texts()).data
    assert found["verdict"] == "FALSE"
    kept = {point["residual"]: point["value"] for point in found["points"]}
    assert kept["post_norm"] < 0.05 < kept["deep_norm"]
    assert not math.isnan(kept["pre_norm"])
