"""Windows of peaks: their number at full size, padding, the frozen level, bad input."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Data, DataSpec, Standard, ViewSpec, gather, gather_window
from jaxomics.engine.drive import Recorder
from jaxomics.engine.log import read_lines
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.errors import InputError
from jaxomics.fitting.levels import fit_both, fit_levels
from jaxomics.models.atac import (
    Config,
    Hyper,
    build,
    chromosome_ends,
    export_windows,
    peaks_view,
    window_of,
)
from jaxomics.models.base import Model, Variables
from jaxomics.models.bulk_networks import StackVae
from jaxomics.models.windows import Window, frozen

PEAKS, ROWS = 11, 6
SMALL: dict[str, Any] = {
    "window": 4,
    "shift": 1,
    "first_hidden": (5,),
    "first_latent": 2,
    "channels": 3,
    "hidden": (4,),
    "latent": 2,
    "norm": "layer",
    "reduction": "mean",
}


@pytest.fixture(scope="module")
def data() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 1)) * np.linspace(1, 2, PEAKS)[None] + 0.1 * rng.normal(
        size=(ROWS, PEAKS)
    )
    x[5] = 0.0
    observed = np.ones((ROWS, PEAKS), bool)
    observed[5] = False
    return Data(
        {"atac": jnp.asarray(x, jnp.float32)},
        {"atac": jnp.asarray(observed)},
        jnp.zeros((ROWS, 0)),
        jnp.full(ROWS, -1),
    )


@pytest.fixture(scope="module")
def standard() -> Standard:
    return Standard({"atac": jnp.full(PEAKS, 0.5)}, {"atac": jnp.linspace(1, 2, PEAKS)})


@pytest.fixture(scope="module")
def model() -> Model:
    return build(Config(**SMALL), DataSpec((ViewSpec("atac", PEAKS),)))


CHROMOSOMES = ViewSpec("atac", PEAKS, groups=(tuple(range(5)), tuple(range(5, PEAKS))))
"""Windows of 4 of two chromosomes with 5 and 6 peaks: 4 and 1, 4 and 2."""


@pytest.fixture(scope="module")
def placed() -> Model:
    """Windows end with chromosomes, and the network is told which one it has."""
    told = {"by_chromosome": True, "window_embedding": 2, "finetune": True}
    return build(Config(**SMALL | told), DataSpec((CHROMOSOMES,)))


def test_full_size_has_113_windows_and_57856_numbers():
    full = build(Config(), DataSpec((ViewSpec("atac", 562_709),)))
    assert full.level is not None
    shape = jax.ShapeDtypeStruct
    data = Data(
        {"atac": shape((3, 562_709), jnp.float32)}, {"atac": shape((3, 1), bool)},
        shape((3, 0), jnp.float32), shape((3,), jnp.int32),
    )  # fmt: skip
    wide = {"atac": shape((562_709,), jnp.float32)}
    key = jax.eval_shape(jax.random.key, 0)
    batch = jax.eval_shape(
        lambda d, s: gather(d, s, jnp.arange(2), jnp.ones(2)), data, Standard(wide, wide)
    )
    variables = jax.eval_shape(full.level.model.init, key, batch)
    read, _ = jax.eval_shape(full.level.read, variables, data, Standard(wide, wide))
    assert read.x["atac"].shape == (3, 57_856)
    assert 57_856 == 113 * 512


def test_a_window_beyond_the_last_peak_is_padded(data: Data, standard: Standard):
    rows = jnp.array([1, 3])
    cut = jax.jit(partial(gather_window, data, standard, width=4))
    found = cut(begin=jnp.int32(8), rows=rows, weight=jnp.array([1.0, 0.0]))
    expected = (np.asarray(data.x["atac"])[1, 8:] - 0.5) / np.linspace(1, 2, PEAKS)[8:]
    np.testing.assert_allclose(found.x["atac"][0, :3], expected, rtol=1e-5)
    assert found.observed["atac"].tolist() == [[True] * 3 + [False], [False] * 4]
    assert found.x["atac"][:, 3].tolist() == [0.0, 0.0]
    inside = cut(begin=jnp.int32(3), rows=rows, weight=jnp.ones(2))
    whole = gather(data, standard, rows, jnp.ones(2)).x["atac"]
    np.testing.assert_allclose(inside.x["atac"], whole[:, 3:7], rtol=1e-6)


@pytest.mark.parametrize(("which", "windows"), [("model", 3), ("placed", 4)])
def test_the_whole_model_equals_the_rest_on_what_the_level_reads(
    which: str, windows: int, data: Data, standard: Standard, request: pytest.FixtureRequest
):
    model: Model = request.getfixturevalue(which)
    rows, weight = jnp.array([0, 2, 5]), jnp.ones(3)
    batch = gather(data, standard, rows, weight)
    params, collections = jax.jit(model.init)(jax.random.key(0), batch)
    level = model.level
    assert level is not None
    read, scaling = level.read(frozen(collections), data, standard)
    assert read.x["atac"].shape == (ROWS, windows * 2)
    if which == "model":
        np.testing.assert_allclose(
            export_windows(_window(), frozen(collections), batch.x["atac"])[:2],
            read.x["atac"][rows[:2]], rtol=1e-4, atol=1e-6,
        )  # fmt: skip
    hyper, key = Hyper(), jax.random.key(1)
    given = params, collections

    @jax.jit
    def both() -> Any:
        behind = gather(read, scaling, rows, weight)
        return (
            model.players[0].loss(*given, batch, key, hyper, train=True)[0],
            level.rest.players[0].loss(*given, behind, key, hyper, train=True)[0],
        )

    np.testing.assert_allclose(*both(), rtol=1e-5)


def _window() -> Any:
    return window_of(Config(**SMALL), ViewSpec("atac", PEAKS))


class Same:
    """In place of a network: what it reads it writes."""

    encode = staticmethod(lambda x: (x, x))
    decode = staticmethod(lambda x: x)

    def apply(self, variables: Any, x: Any, *given: Any, method: Any) -> Any:
        return method(x)


def test_windows_that_end_with_chromosomes_come_back_in_place():
    window = Window("atac", PEAKS, 4, 4, cast("StackVae", Same()), chromosome_ends(CHROMOSOMES))
    assert window.begins.tolist() == [0, 4, 5, 9]
    x = jnp.arange(1.0, 1 + 2 * PEAKS).reshape(2, PEAKS)
    means = window.means(Variables({"vae": {}}, {}), x)
    assert means[0].tolist() == [1, 2, 3, 4, 5, 0, 0, 0, 6, 7, 8, 9, 10, 11, 0, 0]
    np.testing.assert_array_equal(window.write(Variables({"vae": {}}, {}), means), x)


def test_both_levels_move_together_and_come_apart_again(
    placed: Model, data: Data, standard: Standard, tmp_path: Path
):
    level, batch = placed.level, gather(data, standard, jnp.arange(3), jnp.ones(3))
    assert level is not None
    assert level.tune is not None
    params, collections = jax.jit(placed.init)(jax.random.key(0), batch)
    levels = frozen(collections), Variables(params, {})
    fits = [
        FitResult(*own, cast("Any", None), cast("Any", None), [], {"run": 1.0}) for own in levels
    ]
    split, train = Split(np.arange(5), 5, np.arange(0), 0), Train(epochs=30, batch_size=5)
    found = fit_both(
        level.tune, *fits, data, standard, split, Hyper(), train, key=jax.random.key(1),
        recorder=Recorder(tmp_path),
    )  # fmt: skip
    rows = read_lines(tmp_path / "finetune" / "metrics.jsonl")
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    for before, after in zip(fits, found, strict=True):
        chex.assert_trees_all_equal_shapes(before.params, after.params)
        for part in ("encoder", "decoder"):
            old, new = (fit.params["vae"][part]["linear_0"]["kernel"] for fit in (before, after))
            assert float(jnp.max(jnp.abs(new - old))) > 1e-3


def test_levels_train_one_after_the_other(model: Model, data: Data, standard: Standard):
    split = Split(np.array([0, 1, 2, 3, 5]), 5, np.arange(0), 0)
    result = fit_levels(
        model, data, standard, split, Hyper(learning_rate=0.01, kl_weight=0.0),
        Train(epochs=60, batch_size=4), key=jax.random.key(0),
    )  # fmt: skip
    losses = [row["reconstruction"] for row in result.history]
    assert losses[-1] < 0.5 * losses[0]
    # The first level learned peaks: they come back through it.
    batch = gather(data, standard, jnp.arange(4), jnp.ones(4))
    encode, decode = model.tasks.encode, model.tasks.decode
    assert encode is not None
    assert decode is not None

    @jax.jit
    def back() -> Any:
        z, _ = encode(result.params, result.collections, batch)
        return decode(result.params, result.collections, z, jnp.zeros((4, 0)))["atac"]

    written = back()
    assert written.shape == (4, PEAKS)
    error = float(jnp.mean((written - batch.x["atac"]) ** 2))
    assert error < 0.5 * float(jnp.var(batch.x["atac"]))
    assert isinstance(frozen(result.collections), Variables)


def test_one_window_is_no_level():
    whole = build(Config(**SMALL | {"window": 0}), DataSpec((ViewSpec("atac", PEAKS),)))
    assert whole.level is None
    assert whole.sampling.kind == "paired"


def test_bad_input():
    with pytest.raises(InputError, match="view called atac"):
        peaks_view("", ("rna", "drug"))
    with pytest.raises(InputError, match="norm"):
        Config(norm="group")  # pyright: ignore
    shuffled = ViewSpec("atac", PEAKS, groups=((0, 2), (1, *range(3, PEAKS))))
    for view, told in ((ViewSpec("atac", PEAKS), "found none; add a feature table"),
                       (shuffled, "found another order; take --order known")):  # fmt: skip
        with pytest.raises(InputError, match=told):
            build(Config(**SMALL | {"by_chromosome": True}), DataSpec((view,)))
    with pytest.raises(InputError, match="ensemble of 1"):
        fit_levels(
            build(Config(**SMALL), DataSpec((ViewSpec("atac", PEAKS),))),
            *[None] * 4, Train(ensemble=2), key=jax.random.key(0),
        )  # fmt: skip  # pyright: ignore
