"""Train one replica per seed on unpaired cohorts, and tell what it says of the test samples.

The cohorts of all seeds are blocks of rows of one `Data`; the split of a replica points at its
block, and labels and scaling are its own.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from designs import CLASSES, Cohorts
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

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
from jaxomics.inference.novelty import LEAST, Novelty, calibrate, fit_novelty
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
            rows_trained, named = np.asarray(splits[place].train), np.ones(len(CLASSES), bool)
            novelty = fit_novelty(
                data, standards[place], rows_trained, labels[place], named, seeds[place]
            )
        said.append(_said(model, variables, data, standards[place], rows, block, novelty))
    return said


def alone(
    blocks: Sequence[Cohorts], trained: Sequence[MultiOmics], seeds: Sequence[int], method: str
) -> list[Said]:
    """Fit one of `SIMPLE` to each view alone, with the same labels and the same scaling.

    Where a view has labels of one class only, that class is predicted; where it has none, the
    first class is.
    """
    said, classifier = [], SIMPLE[method]
    scaling = PreprocessConfig(
        scaling="minmax", unscaled=(), encoder_filter="none", decimals=None, min_views=1
    )
    for block, cohort, seed in zip(blocks, trained, seeds, strict=True):
        standard = _standard(cohort, scaling)
        chances = np.zeros((len(block.test.samples), len(CLASSES)))
        for view in VIEWS:
            table = cohort.view(view)
            x = standard.apply(view, jnp.asarray(table.to_numpy()))
            seen = block.test.present(view)
            asked = standard.apply(view, jnp.asarray(block.test.array(view)[seen]))
            codes = pd.Categorical(cohort.labels[LABEL].loc[table.index], categories=CLASSES).codes
            found = np.unique(codes[codes >= 0])
            if len(found) < 2:
                chances[seen, found[0] if len(found) else 0] = 1.0
                continue
            chances[seen] = classifier(np.asarray(x), codes, np.asarray(asked), seed)
        truth, source = _truth(block, standard), _source(block.test)
        said.append(Said(_predictions(block.test, source, chances), None, truth, source, None))
    return said


def _regressed(
    x: np.ndarray, codes: Any, asked: np.ndarray, seed: int, weights: str | None = None
) -> np.ndarray:
    """Return probabilities [asked rows, classes] of a logistic regression of codes on x.

    Args:
      x: [training rows, features].
      codes: of their classes; -1 for rows without a label, which are left out.
      asked: [rows, features].
      seed: not needed.
      weights: of classes: `balanced`, or all alike.
    """
    chances, labelled = np.zeros((len(asked), len(CLASSES))), codes >= 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=300, tol=1e-3, class_weight=weights)
        fitted = model.fit(x[labelled], codes[labelled])
    chances[:, fitted.classes_] = fitted.predict_proba(asked)
    return chances


def _nearest_means(x: np.ndarray, codes: Any, asked: np.ndarray, seed: int) -> np.ndarray:
    """Return certainties [asked rows, classes] of the nearest class mean; arguments as above.

    What no class mean resembles is of a class that the view lacks, by the same rule as for MODIS
    (`jaxomics.inference.novelty`).
    """
    found = np.unique(codes[codes >= 0])
    means = np.stack([x[codes == code].mean(axis=0) for code in found])
    nearest = NearestNeighbors(n_neighbors=1).fit(means)
    place = nearest.kneighbors(asked, return_distance=False)[:, 0]
    chances = np.zeros((len(asked), len(CLASSES)))
    chances[np.arange(len(asked)), found[place]] = 1.0
    seen = np.isin(np.arange(len(CLASSES)), found)
    if seen.all() or (codes < 0).any() or len(x) < LEAST:
        return chances
    lacking = 1.0 - seen.mean()  # classes are of equal size
    novelty = calibrate(x, np.ones(x.shape, bool), codes, seen, lacking, seed)
    return novelty.share(chances, novelty.degree(asked, np.ones(asked.shape, bool)))


SIMPLE: dict[str, Callable[[np.ndarray, Any, np.ndarray, int], np.ndarray]] = {
    "logistic": _regressed,
    "logistic-balanced": partial(_regressed, weights="balanced"),
    "means-novelty": _nearest_means,
}
"""Methods that read one view alone: rows, codes, rows asked for and seed to probabilities."""


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
            x, observed = (np.asarray(a[view])[own] for a in (batch.x, batch.observed))
            new = novelty[view].degree(x, observed)
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
