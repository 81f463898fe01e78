"""The InterSIM simulator (Chalise et al. 2016): classes of samples in three linked omics.

A class shifts some CpGs; the genes of shifted CpGs are shifted in expression, and the proteins of
shifted genes in protein level. Written from the published mathematics.

Given the class, the three views of a sample are independent: the correlations between views only
mix the means of the population. No method can therefore tell more about the other views of a
sample than its class, and the least error of a translation is the variance within classes.

>>> sim = simulate_intersim(n=60, proportions=(0.5, 0.5), seed=1)
>>> {view: table.shape for view, table in sim.cohort.views.items()}
{'methylation': (60, 367), 'expression': (60, 131), 'protein': (60, 160)}
>>> sim.cohort.labels["class"].value_counts().sort_index().to_dict()
{'class0': 30, 'class1': 30}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.intersim_parameters import VIEWS, Parameters, stand_in
from jaxomics.data.simulate import write_with_truth
from jaxomics.errors import InputError, unknown

LABEL = "class"
"""Label column that holds the class of a sample."""


@dataclass(frozen=True)
class InterSim:
    """A simulated cohort, complete and paired, and what is true of its classes.

    Attributes:
      cohort: methylation as beta values in (0, 1), expression and protein levels; the label
        column `LABEL` names the class.
      shifted: bool [features, classes] by view: the differential features.
      means: [features, classes] by view: mean of the normal distribution that a class is drawn
        from; for methylation on the logit scale.
    """

    cohort: MultiOmics
    shifted: dict[str, pd.DataFrame]
    means: dict[str, pd.DataFrame]

    def truth(self) -> pd.DataFrame:
        """Return one row per view, feature and class: view, feature, class, shifted, mean."""
        tables = []
        for view, shifted in self.shifted.items():
            features, classes = shifted.shape
            columns = {
                "view": view,
                "feature": np.repeat(shifted.index.to_numpy(), classes),
                LABEL: np.tile(shifted.columns.to_numpy(), features),
                "shifted": shifted.to_numpy().ravel(),
                "mean": self.means[view].to_numpy().ravel(),
            }
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)


def simulate_intersim(
    parameters: Parameters | None = None,
    n: int = 500,
    proportions: Sequence[float] = (0.3, 0.3, 0.4),
    delta: Sequence[float] = (2.0, 2.0, 2.0),
    p_dmp: float = 0.2,
    p_deg: float | None = None,
    p_dep: float | None = None,
    covariance: Literal["stored", "independent"] | Mapping[str, np.ndarray] = "stored",
    correlations: Mapping[str, float | np.ndarray] | None = None,
    seed: int = 0,
) -> InterSim:
    """Simulate paired methylation, expression and protein of classes of samples.

    Class k has round(proportion k * n) samples, the last class the rest. Same arguments give the
    same values on every run.

    Args:
      parameters: means, covariances and maps; the stand-in by default.
      n: number of samples.
      proportions: share of each class; they sum to 1.
      delta: shift of differential features in methylation (logit scale), expression and protein.
        Where expression or protein has shift 0, its correlation with the view before is 0 too.
      p_dmp: chance that a CpG is differential in a class.
      p_deg: the same for a gene; None makes those differential that have a differential CpG.
      p_dep: the same for a protein; None makes those differential whose gene is.
      covariance: `stored` takes that of the parameters, `independent` its diagonal; or a matrix
        [f, f] for each view named, the others as stored.
      correlations: of `expression` with methylation and of `protein` with expression: a number
        or [f] for each view named, the others as stored.
      seed: not negative.

    Raises:
      InputError: proportions that do not sum to 1 or leave a class without samples, a number out
        of range, an unknown view, a matrix that is no covariance.
    """
    parameters = parameters or stand_in()
    sizes = _sizes(n, proportions)
    _check(delta, {"p_dmp": p_dmp, "p_deg": p_deg, "p_dep": p_dep}, seed)
    rng = np.random.Generator(np.random.Philox(seed))
    roots = {view: _root(parameters, view, covariance) for view in VIEWS}
    rho = _correlations(parameters, correlations, delta)
    chances = {"expression": p_deg, "protein": p_dep}
    shifted = [_differential(rng, parameters, p_dmp, chances) for _ in sizes]
    means = [_means(parameters, rho, shift, delta) for shift in shifted]
    order = rng.permutation(n)
    samples = pd.Index([f"subject{i + 1}" for i in range(n)], name="sample")
    views = {}
    for view in VIEWS:
        draws = rng.standard_normal((n, len(parameters.mean[view]))) @ roots[view].T
        values = draws + np.repeat([mean[view] for mean in means], sizes, axis=0)
        if view == "methylation":
            values = 1.0 / (1.0 + np.exp(-values))
        columns = parameters.features[view]
        views[view] = pd.DataFrame(values[order].astype(np.float32), samples, columns)
    names = [f"class{k}" for k in range(len(sizes))]
    labels = pd.DataFrame({LABEL: np.repeat(names, sizes)[order]}, samples)
    return InterSim(
        MultiOmics.from_tables(views, labels),
        *(
            {
                view: pd.DataFrame(
                    np.stack([part[view] for part in parts], axis=1),
                    parameters.features[view],
                    pd.Index(names),
                )
                for view in VIEWS
            }
            for parts in (shifted, means)
        ),
    )


def write_intersim(
    sim: InterSim, path: str | Path, cohort: MultiOmics | None = None, overwrite: bool = False
) -> None:
    """Write a simulated cohort as a data folder with its truth in the subfolder `truth`.

    `truth` holds the complete tables and labels, and `truth_classes.parquet`: the differential
    features and the means of each class.

    Args:
      sim: what was simulated.
      path: folder.
      cohort: what is written as data; by default all of it. Give what is left of it after
        `make_unpaired`, `mask_labels` and the like.
      overwrite: replace existing files.

    Raises:
      InputError: a file exists and `overwrite` is not given.
    """
    truth = {**sim.cohort.views, "labels": sim.cohort.labels, "truth_classes": sim.truth()}
    write_with_truth(cohort or sim.cohort, truth, path, overwrite=overwrite)


def _sizes(n: int, proportions: Sequence[float]) -> list[int]:
    """Return the number of samples of each class, or raise."""
    total = float(np.sum(proportions))
    if not np.isclose(total, 1.0) or min(proportions) <= 0:
        raise InputError(
            f"expected proportions above 0 that sum to 1, found {tuple(proportions)}, which sum "
            f"to {total:.4g}; divide each by the sum"
        )
    sizes = [round(share * n) for share in proportions[:-1]]
    sizes.append(n - sum(sizes))
    if min(sizes) < 1 or n < 2:
        raise InputError(
            f"expected samples in each of {len(sizes)} classes, found sizes {sizes} of n = {n}; "
            "raise n, or take fewer classes"
        )
    return sizes


def _check(delta: Sequence[float], chances: Mapping[str, float | None], seed: int) -> None:
    """Raise if shifts, chances or seed are out of range."""
    if len(delta) != len(VIEWS) or not np.isfinite(delta).all():
        raise InputError(
            f"expected 3 finite shifts, of {', '.join(VIEWS)}, found {tuple(delta)}; give three"
        )
    for name, chance in chances.items():
        if chance is not None and not 0 <= chance <= 1:
            raise InputError(f"expected {name} from 0 to 1, found {chance}; it is a chance")
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, found {seed}; choose another")


def _root(
    parameters: Parameters,
    view: str,
    covariance: Literal["stored", "independent"] | Mapping[str, np.ndarray],
) -> np.ndarray:
    """Return the lower Cholesky factor of a view's covariance."""
    matrix = np.asarray(parameters.covariance[view])
    if covariance == "independent":
        return np.diag(np.sqrt(np.diag(matrix)))
    if isinstance(covariance, Mapping):
        _only_views(covariance, VIEWS, "covariance")
        shape, matrix = matrix.shape, np.asarray(covariance.get(view, matrix), np.float64)
        if matrix.shape != shape or not np.allclose(matrix, matrix.T):
            raise InputError(
                f"expected a symmetric covariance of {view} of shape {shape}, found shape "
                f"{matrix.shape}; give a covariance"
            )
    elif covariance != "stored":
        raise unknown("covariance", str(covariance), ("stored", "independent"))
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"expected a positive definite covariance of {view}, found none; add a small number "
            "to its diagonal"
        ) from error


def _correlations(
    parameters: Parameters,
    given: Mapping[str, float | np.ndarray] | None,
    delta: Sequence[float],
) -> dict[str, np.ndarray]:
    """Return the correlation of each feature with its regulator, 0 in views without shift."""
    _only_views(given or {}, VIEWS[1:], "correlations")
    rho = {}
    for view, shift in zip(VIEWS[1:], delta[1:], strict=True):
        stored = parameters.correlation[view]
        values = np.asarray((given or {}).get(view, stored), np.float64)
        if values.shape not in ((), stored.shape) or not (np.abs(values) <= 1).all():
            raise InputError(
                f"expected one correlation of {view}, or {len(stored)}, from -1 to 1, found "
                f"{values.size} up to {np.abs(values).max():.3g}; correct them"
            )
        rho[view] = np.broadcast_to(values if shift else 0.0, stored.shape)
    return rho


def _only_views(given: Mapping[str, object], known: Sequence[str], what: str) -> None:
    """Raise if something is given for a view that has none."""
    for name in given:
        if name not in known:
            raise unknown(f"view of {what}", name, known)


def _differential(
    rng: np.random.Generator,
    parameters: Parameters,
    p_dmp: float,
    chances: Mapping[str, float | None],
) -> dict[str, np.ndarray]:
    """Draw which features a class shifts, bool [f] by view."""
    cpgs = rng.random(len(parameters.mean["methylation"])) < p_dmp
    genes = np.zeros(len(parameters.mean["expression"]), bool)
    if chances["expression"] is None:
        genes[parameters.gene["methylation"][cpgs]] = True
    else:
        genes = rng.random(len(genes)) < chances["expression"]
    proteins = genes[parameters.gene["protein"]]
    if chances["protein"] is not None:
        proteins = rng.random(len(proteins)) < chances["protein"]
    return {"methylation": cpgs, "expression": genes, "protein": proteins}


def _means(
    parameters: Parameters,
    rho: Mapping[str, np.ndarray],
    shifted: Mapping[str, np.ndarray],
    delta: Sequence[float],
) -> dict[str, np.ndarray]:
    """Return the mean of a class by view: own mean mixed with the regulator's, and the shift."""
    means = {}
    for view, shift in zip(VIEWS, delta, strict=True):
        mean = parameters.mean[view]
        if view in rho:
            own = np.sqrt(1.0 - rho[view] ** 2) * mean
            mean = rho[view] * parameters.regulator[view] + own
        means[view] = mean + shift * shifted[view]
    return means
