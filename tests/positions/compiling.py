"""Run in a process of its own, `python -m tests.positions.compiling NAME...`: Dynamo cannot trace the type checks
that pytest puts on the package. Prints one JSON object: name -> compilations, greatest difference, error.
"""

import json
import sys

from scriptchain.conformance.compiling import compiled
from scriptchain.conformance.inputs import SIZE
from scriptchain.model.pipeline import Network

from . import broken
from .rows import ROWS, network, network_around


def named(name: str) -> Network:
    found = {row.id: row for row in ROWS}
    encoder = {"num_layers": 1}
    return network(found[name], **encoder) if name in found else network_around(getattr(broken, name)(SIZE), **encoder)


if __name__ == "__main__":
    json.dump({name: compiled(named(name)) for name in sys.argv[1:]}, sys.stdout)
