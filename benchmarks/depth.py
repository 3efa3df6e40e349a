"""What a diagnosis costs: CPU seconds of a 12-layer stack on 256 texts, and of laws for a stack that no memory holds.

python benchmarks/depth.py FILE      labelled texts; the bundled ones without
"""

import json
import resource
import subprocess
import sys
import time

from machine import machine

from scriptchain import config
from scriptchain.lab import cost


def main() -> None:
    data = ["--data", sys.argv[1]] if len(sys.argv) > 1 else []
    print(machine())
    for preset in ("small", "seed"):
        arguments = ["diagnose", preset, "--set", "num_layers=12", "--texts", "256", "--threads", "1", "--json", *data]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run(
            [sys.executable, "-m", "scriptchain", *arguments], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = json.loads(result.stdout)
        print(f"{preset}, 12 layers, d_model 128, {found['texts']} texts: {seconds:.1f} CPU s for the whole command, "
              f"{found['cpu_seconds']:.1f} of them the examination")  # fmt: skip
    start = time.process_time()
    counted = cost(config.resolve("small"), num_layers=64, length=1_024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = f"{counted.memory / 2**30:.2f} GiB kept, {counted.flops / 1e12:.2f} T operations"
    taken = time.process_time() - start
    print(f"64 layers, 1,024 tokens, 8 texts: {size}, counted in {taken:.1f} CPU s; at most {peak:.0f} MiB held")


if __name__ == "__main__":
    main()
