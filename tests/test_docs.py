"""What we show, we run: every command and snippet of the README and the docs, and every output that they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# `make` runs this suite and the demo: the first is running, the second has a test of its own below.
NOT_HERE = ("make ", "pip install ", "python benchmarks/")


def blocks(kind: str) -> list[tuple[str, str, str]]:
    """(page, code, the text block right behind it or nothing) of each block of that kind."""
    found = []
    for page in PAGES:
        parts = BLOCK.findall(page.read_text("utf-8"))
        for place, (language, code) in enumerate(parts):
            if language == kind:
                after = parts[place + 1] if place + 1 < len(parts) else ("", "")
                found.append((page.name, code, after[1] if after[0] == "text" and kind == "python" else ""))
    return found


@pytest.mark.parametrize(("page", "code", "output"), blocks("python"), ids=lambda value: value[:20])
def test_every_snippet_prints_what_the_page_says(page, code, output, tmp_path):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    if not numbers_only_differ(result.stdout, output):
        assert result.stdout == output, page


def numbers_only_differ(found: str, shown: str) -> bool:
    """Trained figures may differ in the last digits between processors; everything else must be as shown."""
    number = re.compile(r"\d+\.\d+")
    same_words = number.sub("#", found) == number.sub("#", shown)
    pairs = zip(number.findall(found), number.findall(shown), strict=False)
    return same_words and all(abs(float(one) - float(other)) <= 0.02 for one, other in pairs)


def commands() -> list[tuple[str, list[str]]]:
    """(page, its commands in the order shown); what an earlier page runs too is run there."""
    pages: dict[str, list[str]] = {}
    seen = set()
    for page, code, _ in blocks("sh"):
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith(("#", *NOT_HERE)) and line not in seen:
                pages.setdefault(page, []).append(line)
                seen.add(line)
    return list(pages.items())


MODULES = {"scriptchain": "scriptchain", "torchrun": "torch.distributed.run"}


@pytest.mark.parametrize(("page", "lines"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_runs_in_the_order_shown(page, lines, tmp_path):
    (tmp_path / "texts").mkdir()
    for file in (tmp_path / "my.csv", tmp_path / "texts" / "my.csv"):
        file.write_text((ROOT / "src/scriptchain/data/emotions.csv").read_text("utf-8"), "utf-8")
    for line in lines:
        command, _, arguments = line.partition(" ")
        shell = f"{sys.executable} -m {MODULES[command]} {arguments}"
        result = subprocess.run(shell, shell=True, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert result.returncode == 0, (line, result.stderr)


def test_the_pages_show_the_commands():
    shown = {line.split()[1] for _, lines in commands() for line in lines if line.startswith("scriptchain")}
    assert {
        "check",
        "train",
        "distill",
        "explain",
        "export",
        "predict",
        "evaluate",
        "info",
        "presets",
        "encodings",
        "diagnose",
        "compare",
    } <= shown


def test_the_readme_begins_with_what_a_newcomer_needs():
    first = (ROOT / "README.md").read_text("utf-8").split("## ")[0]
    assert first.startswith("# ScriptChain\n\n")
    assert "make demo\nmake test\n" in first
    python = next(code for kind, code in BLOCK.findall(first) if kind == "python")
    assert len([line for line in python.splitlines() if line.strip()]) <= 8


def test_links_inside_the_project_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_the_tables_of_encodings_are_the_ones_the_code_generates():
    from scriptchain.positions import table

    for page in (ROOT / "README.md", ROOT / "docs" / "positions.md"):
        assert table() in page.read_text("utf-8"), f"{page.name}: paste scriptchain.positions.table()"


def test_the_demo_trains_predicts_and_says_where_the_pictures_are(tmp_path):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    demo = makefile.split("demo: .venv/train\n")[1].split("\n\n")[0]
    binary = Path(sys.executable).parent
    out = tmp_path / "demo"
    script = demo.replace("$(BIN)/scriptchain", f"{binary}/python -m scriptchain").replace("$(DEMO)", str(out))
    script = "\n".join(line.removeprefix("\t").removeprefix("@") for line in script.split("\n"))
    result = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len([line for line in lines if line.startswith('{"text"')]) == 3
    for name in ("curves.png", "confusion.png", "positions.png", "report.html"):
        assert str(out / name) in lines[-1]
        assert (out / name).exists()


def test_the_pages_of_encodings_are_the_ones_the_code_generates():
    import runpy

    from scriptchain.positions import names

    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    folder = ROOT / "docs" / "encodings"
    assert {file.stem for file in folder.iterdir()} == {*names(), "README"}
    assert (folder / "README.md").read_text("utf-8") == generate["index"](), "run python docs/generate.py"
    for name in names():
        assert (folder / f"{name}.md").read_text("utf-8") == generate["page"](name), "run python docs/generate.py"
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
