"""What every test stands on: no network, no deadline, the same examples every time."""

import os

from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Shared machines are slow at times, and a suite that lands code must give the same answer twice.
settings.register_profile("scriptchain", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("scriptchain")
