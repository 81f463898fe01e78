"""Do events go with a response, covariates apart? All events and targets in one product.

Cai et al. 2024 fit each target y on covariates M, and on M and the event x, by least squares:

    l = -n/2 (ln 2 pi + ln(SSR / n) + 1),   LR = 2 (l_full - l_small) = n ln(SSR_small / SSR_full)

and take p from the upper tail of chi-squared with one degree of freedom. With y and x replaced by
what M does not explain of them, SSR_full = (1 - r^2) SSR_small for their correlation r, so

    LR = -n ln(1 - r^2)

for every pair at once: one QR of M, and one matrix product per pattern of missing targets. The
false discovery rate is controlled within each event, over targets (Benjamini and Hochberg 1995).

The test does not look at the sign of the effect. Rows that were filled by a model are no new
samples: they make n large and p small. So `associate` tells n and the effect, and
`compare_associations` tests measured and completed tables on the same targets, and the completed
table also on measured rows alone.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import special, stats

from jaxomics.errors import InputError

ASSOCIATION_COLUMNS = ["event", "target", "n", "events", "effect", "r", "lr", "p", "fdr"]
"""Columns of a table of associations."""

MIN_EVENTS = 10
"""Samples with an event, and without it, below which it is not tested."""


def associate(
    targets: pd.DataFrame,
    events: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    min_events: int = MIN_EVENTS,
) -> pd.DataFrame:
    """Test every event against every target by the likelihood ratio of two regressions.

    Args:
      targets: [samples, targets], NaN = missing; samples without the value are left out.
      events: [samples, events] of 0 and 1 (or any numbers), without NaN; samples that either
        table lacks are left out.
      covariates: [samples, covariates] numbers without NaN; a constant is always added. Columns
        that the others already say change nothing.
      min_events: fewest samples with an event and without; other numbers need as many samples.

    Returns:
      One row per event and target, `ASSOCIATION_COLUMNS`: `n` samples, `events` that are not 0,
      `effect` the regression coefficient in units of the target, `r` the partial correlation,
      `lr`, `p`, and `fdr` within the event. Pairs that cannot be tested are not in it.

    Raises:
      InputError: no samples in common, NaN in events or covariates, or nothing left to test.

    >>> mutated = pd.DataFrame({"BRAF": [0, 1] * 20}, index=[f"s{i}" for i in range(40)])
    >>> drug = pd.DataFrame({"a": mutated["BRAF"] * 2.0 + np.sin(range(40))})
    >>> associate(drug, mutated)[["event", "target", "n", "effect"]].round(1).values.tolist()
    [['BRAF', 'a', 40, 2.0]]
    """
    y, x, m = _aligned(targets, events, covariates)
    parts = []
    for rows, columns in _patterns(~np.isnan(y)):
        basis = _basis(m[rows])
        if rows.sum() <= basis.shape[1] + 1:
            continue
        own, events_in = x[rows], (x[rows] != 0).sum(axis=0)
        enough = np.minimum(events_in, len(own) - events_in) >= min_events
        binary = np.isin(own, (0.0, 1.0)).all(axis=0)
        tested = np.flatnonzero(np.where(binary, enough, len(own) >= 2 * min_events))
        found = _ratios(y[np.ix_(rows, columns)], own[:, tested], basis)
        parts.append(_rows(found, tested, columns, events_in, int(rows.sum())))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if table.empty:
        raise InputError(
            f"expected events in {min_events} or more samples and targets that vary, found none; "
            "lower min_events or give more samples"
        )
    table = table.sort_values(["event", "target"], kind="stable", ignore_index=True)
    table["p"] = special.erfc(np.sqrt(table["lr"].to_numpy(np.float64) / 2.0))
    table["fdr"] = _within(table["event"].to_numpy(), table["p"].to_numpy(np.float64))
    table["event"] = np.asarray(events.columns, object)[table["event"].to_numpy(int)]
    table["target"] = np.asarray(targets.columns, object)[table["target"].to_numpy(int)]
    return table[ASSOCIATION_COLUMNS]


def compare_associations(
    measured: pd.DataFrame,
    completed: pd.DataFrame,
    events: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    min_events: int = MIN_EVENTS,
    level: float = 0.05,
) -> pd.DataFrame:
    """Test measured and completed values on the same targets, and count what each finds.

    Args:
      measured: [samples, targets], NaN = not measured; only samples with a value count.
      completed: [samples, targets], complete; may have more samples.
      events, covariates, min_events: as for `associate`.
      level: false discovery rate at which a pair is found.

    Returns:
      One row per pair that all can test: event and target, and `n`, `effect`, `p` and `fdr` of
      each of `_measured`, `_completed` (all samples) and `_same` (completed values of samples in
      which the target was measured); `found` is measured, completed, both or neither.

    Raises:
      InputError: no target in common, or see `associate`.
    """
    common = measured.columns.intersection(completed.columns)
    if not len(common):
        raise InputError("expected targets named alike in both tables, found none in common")
    measured, completed = measured[common], completed[common]
    same = completed.reindex(measured.index).where(measured.notna())
    tables: Mapping[str, pd.DataFrame] = {
        "measured": measured, "completed": completed, "same": same
    }  # fmt: skip
    joined = None
    for name, table in tables.items():
        found = associate(table, events, covariates, min_events)
        own = {column: f"{column}_{name}" for column in ("n", "effect", "p")}
        named = found[["event", "target", *own]].rename(columns=own)
        joined = named if joined is None else joined.merge(named, on=["event", "target"])
    assert joined is not None
    for name in tables:
        p = joined[f"p_{name}"].to_numpy(np.float64)
        joined[f"fdr_{name}"] = _within(joined["event"].to_numpy(), p)
    before, after = joined["fdr_measured"] < level, joined["fdr_completed"] < level
    words = np.where(before & after, "both", np.where(after, "completed", "measured"))
    return joined.assign(found=np.where(before | after, words, "neither"))


def _aligned(
    targets: pd.DataFrame, events: pd.DataFrame, covariates: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return targets, events and covariates of the samples that all tables have, float64."""
    samples = targets.index.intersection(events.index)
    if covariates is not None:
        samples = samples.intersection(covariates.index)
    if not len(samples):
        raise InputError("expected samples that all tables have, found none; name them alike")
    x = events.loc[samples].to_numpy(np.float64, na_value=np.nan)
    m = np.zeros((len(samples), 0))
    if covariates is not None:
        m = covariates.loc[samples].to_numpy(np.float64, na_value=np.nan)
    for what, table in (("events", x), ("covariates", m)):
        if not np.isfinite(table).all():
            raise InputError(f"expected numbers in all {what}, found empty cells; leave them out")
    return targets.loc[samples].to_numpy(np.float64, na_value=np.nan), x, m


def _patterns(seen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each distinct column of bool [samples, targets] with the columns that equal it."""
    packed = np.ascontiguousarray(np.packbits(seen, axis=0).T)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel()))[:-1]
    for column, columns in zip(first, np.split(order, ends), strict=True):
        yield seen[:, column], columns


def _basis(m: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of a constant and the covariates, [samples, rank]."""
    scaled = m - m.mean(axis=0)
    norms = np.linalg.norm(scaled, axis=0)
    scaled = scaled[:, norms > 1e-10 * np.sqrt(len(m))] / norms[norms > 1e-10 * np.sqrt(len(m))]
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    constant = np.full((len(m), 1), 1.0 / np.sqrt(len(m)))
    return np.concatenate([constant, u[:, s > 1e-8 * max(s[:1].max(initial=0.0), 1e-300)]], axis=1)


def _ratios(y: np.ndarray, x: np.ndarray, basis: np.ndarray) -> dict[str, np.ndarray]:
    """Return effect, r and LR of all pairs, [events, targets]; NaN where nothing varies."""
    rest_y, total_y = _rest(y, basis)
    rest_x, total_x = _rest(x, basis)
    product = rest_x.T @ rest_y
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = product / total_x[:, None]
        r = product / np.sqrt(total_x[:, None] * total_y[None])
    r = np.clip(r, -1.0, 1.0)
    with np.errstate(divide="ignore"):
        return {"effect": effect, "r": r, "lr": -len(y) * np.log1p(-(r**2))}


def _rest(values: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a basis does not explain and its sums of squares, NaN where that is nothing."""
    rest = values - basis @ (basis.T @ values)
    total = (rest**2).sum(axis=0)
    nothing = total <= 1e-12 * np.maximum((values**2).sum(axis=0), 1e-300)
    return rest, np.where(nothing, np.nan, total)


def _rows(
    found: Mapping[str, np.ndarray],
    tested: np.ndarray,
    columns: np.ndarray,
    events_in: np.ndarray,
    n: int,
) -> pd.DataFrame:
    """Return the pairs of one pattern as rows, events and targets by number."""
    event, target = np.repeat(tested, len(columns)), np.tile(columns, len(tested))
    table = pd.DataFrame(
        {"event": event, "target": target, "n": n, "events": events_in[event]}
        | {name: values.ravel() for name, values in found.items()}
    )
    return pd.DataFrame(table[table["lr"].notna()])


def _within(groups: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return false discovery rates, controlled within each group."""
    fdr = np.ones_like(p)
    for rows in pd.Series(np.arange(len(p))).groupby(groups, sort=False).indices.values():
        fdr[rows] = stats.false_discovery_control(p[rows])
    return fdr
