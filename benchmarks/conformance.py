"""Which law holds for which public module: `make conformance` runs the kit over all of them and prints the table."""

import sys
import warnings
from importlib import metadata

import torch
from adapters import PUBLIC

from scriptchain import conformance


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {}
    for name, (library, build, claims) in PUBLIC.items():
        found[name] = conformance.check(build, claims)
        print(f"{library} {name}: {found[name].to_json()}", file=sys.stderr, flush=True)
    broken = [law for law in conformance.LAWS if any(law in one["fails"] for one in found.values())]
    whole = [
        law for law in conformance.LAWS if law not in broken and any(law in one["holds"] for one in found.values())
    ]
    print("| library | module | " + " | ".join(broken) + " |\n" + "|---" * (len(broken) + 2) + "|")
    for name, one in found.items():
        answers = ["yes" if law in one["holds"] else "**no**" if law in one["fails"] else "-" for law in broken]
        print(f"| {PUBLIC[name][0]} | {name} | " + " | ".join(answers) + " |")
    print(f"\nLaws that hold for every module that was asked: {', '.join(whole)}.")
    libraries = ["torch", *sorted({library for library, _, _ in PUBLIC.values()})]
    print("\n" + ", ".join(f"{library} {metadata.version(library)}" for library in libraries) + "\n")
    for name, one in found.items():
        for law, why in one["fails"].items():
            print(f"- {PUBLIC[name][0]} {name}, {law}: {why}")


if __name__ == "__main__":
    main()
