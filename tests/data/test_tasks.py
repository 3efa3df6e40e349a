"""Laws of the generated sets: nothing but the order of the words tells the class."""

from collections import Counter, defaultdict

import pytest

from scriptchain.data.tasks import PARTS, TASKS, generate
from scriptchain.data.text import leak_key
from scriptchain.errors import UsageError


def size(task: str, part: str) -> int:
    """How many rows the part holds, as its own refusal says."""
    with pytest.raises(UsageError) as caught:
        generate(task, part, 10**9)
    found = int(str(caught.value).split()[5])
    assert str(caught.value) == f"rows must be at most {found} for {task} {part}, got 1000000000"
    return found


def bag(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.split()))


WHOLE = {(task, part): generate(task, part, size(task, part)) for task in TASKS for part in PARTS}
every_set = pytest.mark.parametrize(("task", "part"), WHOLE)


@every_set
def test_each_bag_of_words_occurs_equally_often_in_each_class(task, part):
    texts, labels = WHOLE[task, part]
    counts = defaultdict(Counter)
    for text, label in zip(texts, labels, strict=True):
        counts[bag(text)][label] += 1
    classes = set(labels)
    assert len(classes) == 2
    assert all(set(count) == classes and len(set(count.values())) == 1 for count in counts.values())
    assert len(counts) == len(texts) // 4


@every_set
def test_no_text_stands_twice(task, part):
    texts, _ = WHOLE[task, part]
    assert len({leak_key(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("task", TASKS)
def test_the_parts_share_no_bag_and_hold_everything(task):
    bags = {part: {bag(text) for text in WHOLE[task, part][0]} for part in PARTS}
    for one in PARTS:
        for other in PARTS:
            assert one == other or not bags[one] & bags[other]
    assert sum(len(WHOLE[task, part][0]) for part in PARTS) == 4 * len(list(TASKS[task]()))


@every_set
def test_the_same_seed_gives_the_same_rows_and_another_seed_another_order(task, part):
    rows = len(WHOLE[task, part][0])
    assert generate(task, part, rows) == WHOLE[task, part] == generate(task, part, rows, seed=0)
    other = generate(task, part, rows, seed=1)
    assert other != WHOLE[task, part]
    assert sorted(zip(*other, strict=True)) == sorted(zip(*WHOLE[task, part], strict=True))


@every_set
def test_fewer_rows_are_the_first_rows_and_balanced(task, part):
    texts, labels = generate(task, part, 40)
    assert (texts, labels) == tuple(column[:40] for column in WHOLE[task, part])
    assert set(Counter(labels).values()) == {20}


@pytest.mark.parametrize(("task", "part"), [("rolls", "train"), ("roles", "dev")])
def test_an_unknown_task_or_part_is_refused(task, part):
    with pytest.raises(UsageError) as caught:
        generate(task, part, 4)
    assert str(caught.value) == (
        f"task and part must be one of roles, negation and train, validation, test, got {task!r} and {part!r}"
    )
