"""Train one replica per seed on unpaired cohorts, and tell what it says of the test samples.

The cohorts of all seeds are blocks of rows of one `Data`; the split of a replica points at its
block, and labels and scaling are its own.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from designs import CLASSES, Cohorts
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from jaxomics.data.batch import Data, DataSpec, Standard, ViewSpec, gather, make_data
from jaxomics.data.container import MultiOmics
from jaxomics.data.intersim import LABEL
from jaxomics.data.intersim_parameters import VIEWS
from jaxomics.data.preprocess import PreprocessConfig, fit_preprocess
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.engine.fit import Recorder
from jaxomics.engine.replicate import fit_many, repeat, stack
from jaxomics.engine.state import Split
from jaxomics.fitting.training import padded
from jaxomics.inference.cohort import Member
from jaxomics.inference.novelty import Novelty, fit_novelty
from jaxomics.metrics.classification import PROBABILITY
from jaxomics.models.base import Model
from jaxomics.models.registry import entry
from jaxomics.presets import Settings


class Said(NamedTuple):
    """What one fitted model says of the test samples, each seen in its own view only.

    Attributes:
      predictions: columns sample, view, class and p_CLASS.
      written: every view [test samples, features], on the scale [0, 1] of the training rows; None
        from a method that only classifies.
      truth: the same as simulated.
      source: [test samples], the view that each was seen in.
      latent: [test samples, latent], or None.
    """

    predictions: pd.DataFrame
    written: dict[str, np.ndarray] | None
    truth: dict[str, np.ndarray]
    source: np.ndarray
    latent: np.ndarray | None


def stacked_data(blocks: Sequence[Cohorts]) -> Data:
    """Return the unpaired cohorts one after the other, unlabelled; rows as in `complete`."""
    arrays = {}
    for view in VIEWS:
        tables = [
            pd.concat([block.train.view(view), block.test.view(view)]).reindex(
                block.complete.samples
            )
            for block in blocks
        ]
        arrays[view] = np.concatenate([table.to_numpy(np.float32) for table in tables])
    return make_data(arrays)


def speak(
    settings: Settings,
    blocks: Sequence[Cohorts],
    trained: Sequence[MultiOmics],
    seeds: Sequence[int],
    recorder: Recorder,
) -> list[Said]:
    """Train MODIS on what a design left of each training cohort, and read the test samples.

    Args:
      settings: a preset, or a variation of it.
      blocks: the cohorts of each seed.
      trained: the training cohort of each seed.
      seeds: of the training.
      recorder: where the training leaves its traces.
    """
    use_compilation_cache()
    data = stacked_data(blocks)
    sizes = [len(block.complete.samples) for block in blocks]
    starts = np.cumsum([0, *sizes[:-1]])
    labels = np.full((len(blocks), sum(sizes)), -1, np.int32)
    splits = []
    for place, (block, cohort, start) in enumerate(zip(blocks, trained, starts, strict=True)):
        rows = start + block.complete.samples.get_indexer(cohort.samples)
        labels[place, rows] = pd.Categorical(cohort.labels[LABEL], categories=CLASSES).codes
        splits.append(Split(rows, len(rows), np.arange(0), 0))
    standards = [_standard(cohort, settings.preprocess) for cohort in trained]
    spec = DataSpec(tuple(ViewSpec(view, data.x[view].shape[1]) for view in VIEWS), classes=CLASSES)
    model = entry("modis").build(settings.config, spec)
    result = fit_many(
        model,
        data.replace(labels=jnp.asarray(labels)),
        stack(standards),
        stack(padded(splits)),
        repeat(settings.hyper, len(blocks)),
        settings.train,
        keys=jnp.stack([jax.random.key(seed) for seed in seeds]),
        recorder=recorder,
    )
    said = []
    for place, (block, start) in enumerate(zip(blocks, starts, strict=True)):
        variables = jax.tree.map(lambda leaf, i=place: leaf[i], (result.params, result.collections))
        rows = start + block.complete.samples.get_indexer(block.test.samples)
        novelty = {}
        if settings.novelty:
            trained_rows = np.asarray(splits[place].train)
            members = [Member(*variables)]
            novelty = fit_novelty(
                model, members, data, standards[place], trained_rows, labels[place],
                len(CLASSES), seeds[place],
            )  # fmt: skip
        said.append(_said(model, variables, data, standards[place], rows, block, novelty))
    return said


def logistic(blocks: Sequence[Cohorts], trained: Sequence[MultiOmics]) -> list[Said]:
    """Fit a logistic regression to each view alone, with the same labels and the same scaling.

    Where a view has labels of one class only, that class is predicted; where it has none, the
    first class is.
    """
    said = []
    scaling = PreprocessConfig(
        scaling="minmax", unscaled=(), encoder_filter="none", decimals=None, min_views=1
    )
    for block, cohort in zip(blocks, trained, strict=True):
        standard = _standard(cohort, scaling)
        chances = np.zeros((len(block.test.samples), len(CLASSES)))
        for view in VIEWS:
            table = cohort.view(view)
            known = cohort.labels[LABEL].loc[table.index].dropna()
            x = standard.apply(view, jnp.asarray(table.loc[known.index].to_numpy()))
            seen = block.test.present(view)
            asked = standard.apply(view, jnp.asarray(block.test.array(view)[seen]))
            codes = pd.Categorical(known, categories=CLASSES).codes
            chances[seen] = _regressed(np.asarray(x), codes, np.asarray(asked))
        truth, source = _truth(block, standard), _source(block.test)
        said.append(Said(_predictions(block.test, source, chances), None, truth, source, None))
    return said


def _regressed(x: np.ndarray, codes: Any, asked: np.ndarray) -> np.ndarray:
    """Return probabilities [asked rows, classes] of a logistic regression of codes on x."""
    chances = np.zeros((len(asked), len(CLASSES)))
    found = np.unique(codes)
    if len(found) < 2:
        chances[:, found[0] if len(found) else 0] = 1.0
        return chances
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(max_iter=300, tol=1e-3).fit(x, codes)
    chances[:, fitted.classes_] = fitted.predict_proba(asked)
    return chances


def _standard(cohort: MultiOmics, config: PreprocessConfig) -> Standard:
    """Return the scaling of the training rows."""
    fitted = fit_preprocess(cohort, config).views
    return Standard(
        {view: jnp.asarray(fitted[view].mean) for view in VIEWS},
        {view: jnp.asarray(fitted[view].scale) for view in VIEWS},
        config.decimals,
    )


def _said(
    model: Model,
    variables: Any,
    data: Data,
    standard: Standard,
    rows: np.ndarray,
    block: Cohorts,
    novelty: Mapping[str, Novelty],
) -> Said:
    """Return what a fitted model says of the test rows of its block."""
    batch = gather(data, standard, jnp.asarray(rows), jnp.ones(len(rows)))
    tasks = model.tasks
    assert tasks.encode is not None
    assert tasks.decode is not None
    assert tasks.classify is not None
    z, _ = jax.jit(tasks.encode)(*variables, batch)
    written = jax.jit(tasks.decode)(*variables, z, batch.conditionals[VIEWS[0]])
    logits = jax.jit(tasks.classify)(*variables, batch)
    source = _source(block.test)
    chances = np.zeros((len(rows), len(CLASSES)))
    for view in VIEWS:
        own = source == view
        chances[own] = np.asarray(jax.nn.softmax(logits[view]))[own]
        if view in novelty:
            left = np.asarray(batch.x[view] - written[view])[own]
            new = novelty[view].degree(left, np.asarray(batch.observed[view])[own])
            chances[own] = novelty[view].share(chances[own], new)
    return Said(
        _predictions(block.test, source, chances),
        {view: np.asarray(values) for view, values in written.items()},
        _truth(block, standard),
        source,
        np.asarray(z),
    )


def _source(cohort: MultiOmics) -> np.ndarray:
    """Return the one view of each sample."""
    return np.array(VIEWS)[np.argmax([cohort.present(view) for view in VIEWS], axis=0)]


def _truth(block: Cohorts, standard: Standard) -> dict[str, np.ndarray]:
    """Return all views of the test samples, scaled."""
    complete = block.complete.select_samples(block.test.samples)
    return {v: np.asarray(standard.apply(v, jnp.asarray(complete.array(v)))) for v in VIEWS}


def _predictions(cohort: MultiOmics, source: np.ndarray, chances: np.ndarray) -> pd.DataFrame:
    """Return the table of predictions."""
    table = {
        "sample": cohort.samples.to_numpy(),
        "view": source,
        "class": np.array(CLASSES)[chances.argmax(axis=1)],
    }
    own = {f"{PROBABILITY}{name}": chances[:, i] for i, name in enumerate(CLASSES)}
    return pd.DataFrame({**table, **own})
