"""Can attributions of a model be believed? Convergence, and quality by method, on a few samples.

One output of a fitted model is explained for the samples whose value lies farthest from the mean.
The baseline is the mean of all samples; the background are some of them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from outputs import Outputs

from jaxomics import attribution
from jaxomics.types import Array, Key

RADIUS = 0.05
"""How far neighbours lie, in standard deviations of each input, when sensitivity is measured."""
BACKGROUND = 512
"""Most samples, the first of the cohort, that are baselines; more than there are draws, since rows
that are all drawn equally often leave no error of the rows."""
STEPS = (4, 16, 64)
DRAWS = (16, 64, 256)


def farthest(written: Outputs, name: str, count: int) -> list[int]:
    """Return the samples whose output differs most from its mean."""
    f = written.one(name)
    each = jax.vmap(lambda networks, x, seen: f(networks._replace(observed=seen), x), (None, 0, 0))
    values = np.asarray(jax.jit(each)(written.networks, written.x, written.observed))
    return np.argsort(-np.abs(values - values.mean()))[:count].tolist()


def convergence(
    written: Outputs, name: str, rows: Sequence[int], key: Key
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return gaps by nodes, and errors by draws in units of the output, of some samples."""
    f, mean = written.one(name), _mean(written)
    gaps, errors = [], []
    for row in rows:
        networks, x = written.at(row)
        steps = attribution.gap_by_steps(f, networks, x, mean, steps=STEPS)
        gaps.append(pd.DataFrame(steps).assign(sample=row))
        draws = attribution.error_by_draws(
            f, networks, x, _background(written), key=key, draws=DRAWS, repeats=8
        )
        errors.append(pd.DataFrame(draws).assign(sample=row))
    return pd.concat(gaps, ignore_index=True), pd.concat(errors, ignore_index=True)


def quality(written: Outputs, name: str, rows: Sequence[int], key: Key) -> pd.DataFrame:
    """Return how good the attributions of each method are, one row per method and sample.

    Gradients are multiplied by x - baseline, so that all methods say what is lost when a feature
    goes to its baseline. Columns: `infidelity` (relative to an explanation of zeros), `sensitivity`
    (largest relative change within `RADIUS`), `deletion` and `insertion` (areas; features that push
    towards the sample's output go first).
    """
    f = written.one(name)
    points = [written.at(row) for row in rows]
    networks, x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *points)
    in_axes = (networks._replace(params=None, collections=None, observed=0), 0)
    networks = networks._replace(
        params=written.networks.params, collections=written.networks.collections
    )
    tables = []
    for method, explain in methods(f, written, key).items():
        one = partial(_scores, f, explain, _mean(written), key)
        found: Any = jax.jit(jax.vmap(one, in_axes))(networks, x)
        table = pd.DataFrame({column: np.asarray(values) for column, values in found.items()})
        tables.append(table.assign(method=method, output=name, sample=list(rows)))
    return pd.concat(tables, ignore_index=True)[["method", "output", "sample", *found]]


def methods(f: Any, written: Outputs, key: Key) -> dict[str, Callable[[Any, Any], Any]]:
    """Return methods by name: (networks, x) -> values like x, complete up to their own error."""
    mean, background = _mean(written), _background(written)

    def lost(slope: Any, x: Any) -> Any:
        return jax.tree.map(lambda s, end, start: s * (end - start), slope, x, mean)

    def smooth(networks: Any, x: Any) -> Any:
        return attribution.smooth_grad(f, networks, x, key=key, noise=0.2, n_draws=256).values

    def by_chance(networks: Any, x: Any) -> Any:
        structure = jax.tree.structure(x)
        keys = jax.tree.unflatten(structure, list(jax.random.split(key, structure.num_leaves)))
        return jax.tree.map(lambda k, leaf: 1e-3 * jax.random.normal(k, leaf.shape), keys, x)

    return {
        "expected gradients": lambda networks, x: (
            attribution.expected_gradients(f, networks, x, background, key=key).values
        ),
        "integrated gradients": lambda networks, x: (
            attribution.integrated_gradients(f, networks, x, mean).values
        ),
        "smooth gradients x change": lambda networks, x: lost(smooth(networks, x), x),
        "gradient x change": lambda networks, x: lost(
            attribution.gradient(f, networks, x).values, x
        ),
        "chance": by_chance,
    }


def _scores(
    f: Any, explain: Callable[[Any, Any], Any], mean: Any, key: Key, networks: Any, x: Any
) -> dict[str, Array]:
    """Return the scores of one method on one sample."""
    values = explain(networks, x)
    change = f(networks, x) - f(networks, mean)
    pushing = jax.tree.map(lambda leaf: leaf * jnp.sign(change), values)
    removed = attribution.infidelity(f, networks, x, values, attribution.removal(mean), key=key)
    curves = {
        "deletion": attribution.deletion_curve,
        "insertion": attribution.insertion_curve,
    }
    areas = {
        name: curve(f, networks, x, mean, pushing, order="signed").area
        for name, curve in curves.items()
    }
    near = attribution.sensitivity_max(
        lambda x: explain(networks, x), x, key=key, radius=RADIUS, n_draws=8
    )
    return {"infidelity": removed.relative, "sensitivity": near, **areas}


def _mean(written: Outputs) -> dict[str, Array]:
    """Return the baseline."""
    return {view: a.mean(axis=0) for view, a in written.x.items()}


def _background(written: Outputs) -> dict[str, Array]:
    """Return the baselines of expected gradients."""
    return {view: a[:BACKGROUND] for view, a in written.x.items()}
