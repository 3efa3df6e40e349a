"""What `torchrun` and `accelerate launch` tell the processes that they start, read without torch."""

import os


def processes() -> int:
    """How many there are; 1 where no launcher started this one (a cluster may set a part of its words for others)."""
    whole = {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()
    return int(os.environ["WORLD_SIZE"]) if whole else 1


def leads() -> bool:
    """Whether this is the first of them, or the only one."""
    return processes() == 1 or os.environ["RANK"] == "0"
