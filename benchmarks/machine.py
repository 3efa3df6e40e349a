"""What every benchmark says first: where and on what it ran."""

import os
import platform
from importlib.metadata import distributions, version
from pathlib import Path


def machine() -> str:
    """One line: processor, cores, load, versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())
    where = f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    installed = {distribution.name.lower() for distribution in distributions()}
    named = [name for name in ("torch", "onnxruntime", "tokenizers", "scikit-learn") if name in installed]
    packages = ", ".join(f"{name} {version(name)}" for name in named)
    return f"{where}; Python {platform.python_version()}, {packages}"
