"""A claim, judged on a target's config: of cost by counting, of depth on initial stacks, of overfitting by training."""

from collections.abc import Sequence

from ..data.records import Records, read
from ..lab import Claim, depth_claims, judge
from ..report import Report
from ..trials.curves import curves
from ..trials.paired import Progress
from .subject import config_of
from .texts import sample, training_task, vocabulary

TRAINED_DEPTHS = (1, 3, 6, 12)


def judge_claim(
    sentence: str, target: str, *, rows: Records | None = None, texts: int = 256, seed: int = 0,
    settings: Sequence[str] = (), depths: Sequence[int] = (), minutes: float | None = None,
    progress: Progress = lambda line: None,
) -> Report:  # fmt: skip
    """TRUE, FALSE or UNDECIDED, with figures. Raises UsageError for a sentence that makes no known claim."""
    config = config_of(target, settings)
    rows = read("emotions") if rows is None else rows
    if "overfit" in sentence.lower():
        task, _ = training_task(config, rows, seed)
        return curves(config, depths or TRAINED_DEPTHS, task, minutes=minutes, seed=seed, progress=progress)
    claim = depth_claims.parse(sentence)
    if claim is None:
        return judge(Claim.parse(sentence), config, progress=progress)
    words = vocabulary(config, rows)
    batches = words.batches(sample(rows, texts, seed))
    return depth_claims.judge_depth(claim, config, words.build, batches, seed, progress)
