"""Laws of the heap: what was freed between others goes back to the system, in training too."""

import subprocess
import sys

import numpy as np

from scriptchain import Classifier, heap

FREED = """
import re
from pathlib import Path
from scriptchain.heap import give_back

def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

pieces = [bytearray(64 * 1024) for _ in range(2000)]
full = resident()
del pieces[1::2]  # none of them at the end of the heap
kept = resident()
give_back()
print(full - kept, kept - resident())
"""


def test_what_was_freed_between_others_goes_back():
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    by_itself, given = map(float, done.stdout.split())
    assert by_itself < 10
    assert given > 50  # of 62 MiB


def test_a_process_that_grows_gives_back_and_one_that_only_swings_does_not(monkeypatch):
    def given_back(sizes):
        called, kept = [], heap.Heap()
        for step, size in enumerate(sizes):
            monkeypatch.setattr(heap, "give_back", lambda step=step: called.append(step))
            monkeypatch.setattr(heap, "held", lambda size=size: size * 2**20)
            kept.tend()
        return called

    assert given_back([300 + 100 * (step % 4) for step in range(100)]) == []
    assert given_back([300 + 10 * step for step in range(50)]) == [14, 29, 44]  # 7 more steps than the first 8


def test_what_is_held_is_what_was_written_to():
    before = heap.held()
    piece = bytearray(b"x") * (64 * 2**20)
    assert 0.95 * len(piece) < heap.held() - before < 1.1 * len(piece)  # the system counts in batches


def test_training_gives_back_where_it_grows_and_at_its_end(monkeypatch):
    called = []
    monkeypatch.setattr(heap, "STEPS", 0)
    monkeypatch.setattr(heap, "SPARE", -(2**60))
    monkeypatch.setattr(heap, "give_back", lambda: called.append("step"))
    monkeypatch.setattr("scriptchain.training.loop.give_back", lambda: called.append("end"))
    texts = [f"{word} {number}" for number in range(20) for word in ("good", "bad")]
    small = {"d_model": 16, "num_heads": 2, "num_layers": 1, "d_feedforward": 16, "epochs": 2, "vocab_size": 300}
    model = Classifier("small", **small).fit(texts, np.array(["yes", "no"] * 20))
    steps = model.history_[-1]["step"] + 2  # and a batch of validation texts behind each epoch
    assert called == ["step"] * steps + ["end", "step"]  # the last for the temperature
