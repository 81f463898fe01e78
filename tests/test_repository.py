"""Standards of the source itself: whole functions, documented, of readable size, no leftovers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [p for d in ("jaxomics", "train", "eval") for p in sorted((ROOT / d).rglob("*.py"))]
TEXTS = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "docs").rglob("*.md"))]
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XXX|NotImplemented" r"Error)\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(work|home|root|Users|mnt|scratch)/\w")
MOST_LINES, MOST_IN_FUNCTION = 450, 90
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Functions, classes and methods of a module, with dotted names; none inside functions."""
    for node in body:
        if isinstance(node, Definition):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{prefix}{node.name}.")


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_source_is_finished_documented_and_of_readable_size(path: Path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert LEFTOVER.findall(text) == []
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(tree), "the module has no docstring"
    found = dict(definitions(tree.body))
    functions = {n: d for n, d in found.items() if not isinstance(d, ast.ClassDef)}
    long = [name for name, d in functions.items() if _lines(d) > MOST_IN_FUNCTION]
    assert long == [], f"functions of more than {MOST_IN_FUNCTION} lines"
    bare = [name for name, d in found.items() if is_public(name) and not ast.get_docstring(d)]
    if path.parent.name == "peers":  # other libraries' interfaces
        bare = [name for name in bare if "." not in name]
    assert bare == [], "public, without docstring"


def _lines(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", [*TEXTS, ROOT / "pyproject.toml"], ids=named)
def test_no_path_of_one_machine(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if MACHINE_PATH.search(line)] == []


def test_the_test_sees_paths():
    seen = ["'" + "/".join(["", d, "x"]) + "'" for d in ("home", "work")]
    assert all(MACHINE_PATH.search(text) for text in seen)
    assert not MACHINE_PATH.search("https://host.org/home/page, a/work/b")
