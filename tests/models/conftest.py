"""Two views of the same factors, with holes, for models that complete one from the other."""

from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, Data, DataSpec, Standard, ViewSpec, gather, make_data
from jaxomics.engine.fit import Settings, begin, floats, make_programs
from jaxomics.engine.game import make_step
from jaxomics.engine.state import Split, Train, TrainState
from jaxomics.models.base import Model

SAMPLES, TRAINED = 80, 60
WIDTHS = {"rna": 9, "drug": 6}
SPEC = DataSpec(tuple(ViewSpec(*view) for view in WIDTHS.items()))
NO_ROWS = np.arange(0)


@cache
def cohort() -> tuple[Data, Standard]:
    """Two factors behind both views, little noise, holes, and samples without a view."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(SAMPLES, 2))
    views = {}
    for i, (name, width) in enumerate(WIDTHS.items()):
        values = factors @ rng.normal(size=(2, width)) + 0.1 * rng.normal(size=(SAMPLES, width))
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        values[rng.random(values.shape) < 0.1] = np.nan
        values[i * 5 : i * 5 + 5] = np.nan
        views[name] = values.astype(np.float32)
    ones = {name: jnp.ones(width) for name, width in WIDTHS.items()}
    return make_data(views), Standard({n: 0.0 * one for n, one in ones.items()}, ones)


def trained(model: Model, hyper: Any, steps: int) -> TrainState:
    """Train on the first samples, all of them in each step."""
    data, standard = cohort()
    split = Split(jnp.arange(TRAINED), jnp.asarray(TRAINED), NO_ROWS, jnp.asarray(0))
    programs = make_programs(model, Train(epochs=steps), (1, TRAINED, 1))
    step = make_step(model)

    @jax.jit
    def run(hyper: Any, key: jax.Array) -> TrainState:
        state, _ = begin(programs, Settings(data, standard, split, hyper), key)
        batch = gather(data, standard, split.train, jnp.ones(TRAINED))
        move = partial(step, batch=batch, hyper=hyper, rate=jnp.float32(1.0))
        return jax.lax.scan(lambda s, _: (move(s)[0], None), state, length=steps)[0]

    return run(floats(hyper), jax.random.key(0))


def held_out(*hidden: str) -> Batch:
    """The other samples, without some views."""
    data, _ = cohort()
    seen = {v: np.asarray(o)[TRAINED:] & (v not in hidden) for v, o in data.observed.items()}
    rows = SAMPLES - TRAINED
    ones = dict.fromkeys(WIDTHS, np.ones(rows, np.float32))
    return Batch(
        x={v: np.where(seen[v], np.asarray(x)[TRAINED:], np.float32(0)) for v, x in data.x.items()},
        observed=seen,
        sample=dict.fromkeys(WIDTHS, np.arange(TRAINED, SAMPLES)),
        conditionals=dict.fromkeys(WIDTHS, np.zeros((rows, 0), np.float32)),
        labels=dict.fromkeys(WIDTHS, np.full(rows, -1)),
        weight=ones,
    )


def unexplained(written: jax.Array, view: str) -> float:
    """Squared error of what was written for the held-out samples, by that of the mean."""
    truth = held_out()
    seen = np.asarray(truth.observed[view])
    error = (np.asarray(written) - np.asarray(truth.x[view]))[seen]
    return float(np.sum(error**2) / np.sum(np.asarray(truth.x[view])[seen] ** 2))


def applied(model: Model, state: TrainState, batch: Batch) -> tuple[Any, Any]:
    """All views of a batch as the trained model writes them, and the means of its latents.

    In another order, each sample has the same; nobody has anything to do with the others.
    """
    kept = state.params, state.collections

    @jax.jit
    def run(batch: Batch) -> tuple[Any, Any]:
        assert model.tasks.encode is not None
        mean, _ = model.tasks.encode(*kept, batch)
        if model.tasks.decode is None:
            assert model.tasks.translate is not None
            return model.tasks.translate(*kept, batch), mean
        return model.tasks.decode(*kept, mean, batch.conditionals["rna"]), mean

    found, turned = run(batch), run(jax.tree.map(lambda leaf: np.asarray(leaf)[::-1], batch))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(turned), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, np.asarray(other)[::-1], atol=1e-5)
    return found


@pytest.fixture(scope="session")
def two_views() -> SimpleNamespace:
    """The cohort, and what is asked of a model on it."""
    return SimpleNamespace(
        spec=SPEC,
        rows=TRAINED,
        cohort=cohort,
        trained=trained,
        held_out=held_out,
        unexplained=unexplained,
        applied=applied,
    )
