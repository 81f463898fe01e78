"""Who may import whom: the arrows of the architecture, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxomics

ROOT = Path(jaxomics.__file__).parent
BASE = {"types", "config", "errors"}
SHARED = ("batch", "sampling", "preprocess", "store", "plans", "stream")
SHARED_DATA = {f"data.{name}" for name in SHARED}
ENGINE = BASE | SHARED_DATA | {"models.base", "engine", "version"}

# A layer and what of ours it may import. What is not named here is the top: `TOP`, and modules
# beside the packages, such as `estimator`; they may import anything of ours.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "version": set(),
    "config": {"errors"},
    "data": BASE | {"data"},
    "nn": BASE | {"nn", "losses.masked"},  # which knows the axis over which devices split
    "losses": BASE | {"losses"},
    "models": BASE | {"data.batch", "nn", "losses", "models"},
    "engine": ENGINE,
    "attribution": BASE | {"data.batch", "models.base", "engine.devices", "attribution"},
    "presets": BASE
    | {"data.preprocess", "data.conditionals", "data.outcomes"}
    | {"engine.state", "models", "presets", "comparators"},
    "metrics": {"types", "errors", "metrics"},
    "figures": {"figures", "errors"},
    "search": BASE | {"data.batch", "engine", "models", "search"},
    "inference": BASE
    | {"data", "engine.state", "losses.survival", "metrics", "models.base", "nn.latent"}
    | {"inference"},
    "fitting": BASE | {"data", "engine", "models", "presets.settings", "inference", "fitting"},
    "report": {"errors", "data", "figures", "metrics", "methods", "report"},
    "comparators": BASE | {"data", "nn", "losses", "models.base", "engine", "comparators"},
}
TOP = {"commands", "crossval", "explain"}  # packages that may import anything of ours
FORBIDDEN = {"torch", "shap", "captum"}


def module_of(path: Path) -> str:
    """Name of a file below the package: `data.batch`, or `data.__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of everything that a file imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, layers: set[str]) -> bool:
    """Is a dotted name one of these, or inside one of them?"""
    return any(name == layer or name.startswith(layer + ".") for layer in layers)


def offences(module: str, names: set[str]) -> list[str]:
    """What a module imports and must not."""
    found = [name for name in names if within(name, FORBIDDEN)]
    layer = module.split(".")[0]
    if layer not in {"nn", "models"}:
        found += [n for n in names if within(n, {"flax.linen", "flax.nnx"})]
    if layer not in ALLOWED:
        return sorted(found)
    ours = [name.removeprefix("jaxomics.") for name in names if within(name, {"jaxomics"})]
    return sorted(found + [name for name in ours if not within(name, ALLOWED[layer])])


SOURCES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@pytest.mark.parametrize("module", list(SOURCES))
def test_no_upward_arrow(module: str):
    tree = ast.parse(SOURCES[module].read_text(encoding="utf-8"))
    layer = module.split(".")[0]
    known = layer in ALLOWED or layer in TOP or (ROOT / f"{layer}.py").exists()
    assert known, f"{layer}/ has no layer: name it here"
    assert offences(module, set(imports(tree))) == []


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("data.io", "from jaxomics.models import mosa", ["models.mosa"]),
        ("engine.fit", "import jaxomics.data.container", ["data.container"]),
        ("engine.fit", "from jaxomics.data.batch import Data", []),
        ("engine.fit", "from flax import linen as nn", ["flax.linen"]),
        ("models.mosa", "from flax import linen as nn", []),
        ("metrics.stats", "from jaxomics.data.batch import Data", ["data.batch.Data"]),
        ("metrics.stats", "from jaxomics.errors import InputError", []),
        ("figures.scores", "from jaxomics.figures.style import SIZE", []),
        ("figures.scores", "from jaxomics.metrics import stats", ["metrics.stats"]),
        ("estimator", "import torch.nn", ["torch.nn"]),
        ("estimator", "from jaxomics.inference.cohort import encode", []),
    ],
)
def test_the_test_sees_arrows(module: str, line: str, found: list[str]):
    assert offences(module, set(imports(ast.parse(line)))) == found
