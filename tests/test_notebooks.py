"""The notebooks run from top to bottom, on small sizes, without a word on stderr."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = {
    "bulk_embedding": "DONORS, GENES, EPOCHS = 160, 60, 3",
    "attribution": 'SIZE, EPOCHS, DRAWS = "tiny", 4, 16',
    "benchmark": 'SIZE, FOLDS, EPOCHS = "tiny", 2, 0',
    "modis": "SAMPLES, EPOCHS = 400, 2",
    "omitrans": "SAMPLES, CPGS, GENES, CLASSES, EPOCHS = 80, 40, 30, 3, 3",
    "mosa": 'SIZE, EPOCHS, MEMBERS, NEW_SAMPLES = "tiny", 2, 1, 10',
    "cross_validation": 'SIZE, EPOCHS, TRIALS = "tiny", 4, 8',
}
"""What replaces the cell with the tag `parameters`, by notebook."""
EXTRAS = {"cross_validation": ["optuna"]}
"""What a notebook needs that jaxomics does not install by default."""
MOST_BYTES = 300_000

# Deprecations between the packages that run a kernel, and sockets that they close late.
jupyter_warnings = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def shrunk(path: Path):
    """A notebook with small sizes."""
    notebook = nbformat.read(path, as_version=4)
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1, "expected one cell with the tag `parameters`"
    before = {name.strip() for name in tagged[0].source.split("=")[0].split(",")}
    after = {name.strip() for name in SMALL[path.stem].split("=")[0].split(",")}
    assert before == after, "the small sizes have to set what the notebook sets"
    tagged[0].source = SMALL[path.stem]
    return notebook


@pytest.mark.slow
@jupyter_warnings
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path):
    for name in EXTRAS.get(path.stem, ()):
        pytest.importorskip(name)
    notebook = shrunk(path)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert outputs
    assert [o.text for o in outputs if o.get("name") == "stderr"] == []


@jupyter_warnings
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_uses_public_names(path: Path):
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "import jaxomics\n" in code
    assert "from jaxomics" not in code
    assert "._" not in code
