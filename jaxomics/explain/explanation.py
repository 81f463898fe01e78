"""What an explanation found: tidy tables of importance, accounts, rankings and comparisons.

Formulas of Cai et al. 2024, Methods: the importance of feature f for output o is the mean over
samples of |phi_f(i, o)|; for a target with several outputs, such as the latent, it is summed over
them; that of a view is the mean over its features. Attributions are in units of the output: a
standard deviation of the written feature, or z.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
import pandas as pd

from jaxomics.attribution.summary import Account, Totals
from jaxomics.attribution.targets import Target
from jaxomics.errors import InputError, unknown

NEGLIGIBLE = 1e-12
"""A target whose attributions stay below this share of 1 does not depend on its input."""


@dataclass(frozen=True)
class Explanation:
    """Attributions of targets, summed over samples.

    Attributes:
      targets: what was explained; outputs follow each other in this order.
      features: names of the features explained, per view; conditionals are a view.
      samples: those explained.
      inputs: their values [samples, features] per view, in standard units; NaN = not measured.
      sampled: were attributions estimated from draws?
      complete: should they sum to the change of the output?
      totals: sums over samples.
      account: outputs, and what sums to them, per sample.

    >>> from jaxomics import Estimator
    >>> from jaxomics.data.simulate import simulate_depmap
    >>> from jaxomics.presets import preset, quick
    >>> cohort = simulate_depmap("tiny", seed=0).cohort
    >>> est = Estimator(quick(preset("mosa", "recommended")), seed=0).fit(cohort)
    >>> found = est.explain(target="latent", draws=16)
    >>> list(found.importance().columns)
    ['target', 'view', 'feature', 'mean_abs', 'mean', 'stderr', 'rank']
    """

    targets: tuple[Target, ...]
    features: dict[str, tuple[str, ...]]
    samples: pd.Index
    inputs: dict[str, np.ndarray]
    sampled: bool
    complete: bool
    totals: Totals
    account: Account

    # --------------------------------------------------------------- tables

    def importance(self) -> pd.DataFrame:
        """Return target, view, feature, mean_abs, mean, stderr, rank.

        `mean_abs` and `mean` are sums over the outputs of a target; `stderr` is the sampling
        error of `mean_abs`, NaN where nothing was drawn.
        """
        rows = []
        for number, (target, outputs) in enumerate(self._blocks()):
            table = self._features(
                target=target.text,
                mean_abs=self._mean("absolute", lambda a, o=outputs: a[o].sum(axis=0)),
                mean=self._mean("signed", lambda a, o=outputs: a[o].sum(axis=0)),
                stderr=self._mean("block_variance", lambda a, n=number: np.sqrt(a[n])),
            )
            rows.append(_ranked(table, "mean_abs"))
        return pd.concat(rows, ignore_index=True)

    def views(self) -> pd.DataFrame:
        """Return target, view, mean_abs (mean over features), total (sum), share of the total."""
        table = self.importance().groupby(["target", "view"], sort=False, observed=True)
        found = table["mean_abs"].agg(mean_abs="mean", total="sum").reset_index()
        whole = found.groupby("target", sort=False)["total"].transform("sum")
        return found.assign(share=found["total"] / whole.where(whole > 0))

    def completeness(self) -> pd.DataFrame:
        """Return target, sample, output, baseline_output, sum_attribution, gap.

        One row per output and sample; `baseline_output` is the mean over the baselines drawn, and
        the gap is what the attributions miss of the change between the two. Empty for methods
        that do not promise to explain a change.
        """
        columns = ["target", "sample", "output", "baseline_output", "sum_attribution", "gap"]
        if not self.complete:
            return pd.DataFrame(columns=pd.Index(columns))
        names = [name for target in self.targets for name in target.names]
        output, baseline, total = (np.asarray(leaf).T.ravel() for leaf in self.account[:3])
        samples = len(self.samples)
        return pd.DataFrame(
            {
                "target": pd.Categorical(
                    np.repeat(names, samples), categories=list(dict.fromkeys(names))
                ),
                "sample": np.tile(self.samples, len(names)),
                "output": output,
                "baseline_output": baseline,
                "sum_attribution": total,
                "gap": output - baseline - total,
            }
        )

    def median_gap(self) -> float:
        """Return the median over samples and outputs of |gap| / |change of the output|.

        NaN for methods that do not promise to explain a change.
        """
        if not self.complete:
            return float("nan")
        output, baseline, total = (np.asarray(leaf, np.float64) for leaf in self.account[:3])
        change = np.abs(output - baseline)
        return float(np.median(np.abs(output - baseline - total) / np.where(change, change, 1.0)))

    def top(self, k: int = 200) -> pd.DataFrame:
        """Return the k features of largest mean |attribution| per output and view.

        Columns target, output, view, feature, mean_abs, mean, stderr, direction, rank (among all
        features of the output). `direction` is the correlation of the attribution with the
        feature's value over samples.
        """
        if k < 1:
            raise InputError(f"expected to keep at least 1 feature, found {k}")
        parts = []
        direction = self._direction()
        for target, outputs in self._blocks():
            for name, o in zip(target.names, outputs, strict=True):
                table = self._features(
                    target=target.text,
                    output=name,
                    mean_abs=self._mean("absolute", lambda a, o=o: a[o]),
                    mean=self._mean("signed", lambda a, o=o: a[o]),
                    stderr=self._mean("variance", lambda a, o=o: np.sqrt(a[o])),
                    direction={view: values[o] for view, values in direction.items()},
                )
                ranked = _ranked(table, "mean_abs")
                parts.append(ranked.groupby("view", sort=False, observed=True).head(k))
        return pd.concat(parts, ignore_index=True)

    def effects(self, view: str, feature: str) -> pd.DataFrame:
        """Return how one feature bears on every output: the columns of `top`, ranked by output.

        Raises:
          InputError: an unknown view or feature.
        """
        if view not in self.features:
            raise unknown("view", view, self.features)
        if feature not in self.features[view]:
            raise unknown(f"feature of view {view!r}", feature, self.features[view])
        column = self.features[view].index(feature)
        samples = len(self.samples)
        table = pd.DataFrame(
            {
                "target": [t.text for t in self.targets for _ in t.names],
                "output": [name for t in self.targets for name in t.names],
                "view": view,
                "feature": feature,
                "mean_abs": self.totals.absolute[view][:, column] / samples,
                "mean": self.totals.signed[view][:, column] / samples,
                "stderr": np.sqrt(self.totals.variance[view][:, column]) / samples,
                "direction": self._direction()[view][:, column],
            }
        )
        return _ranked(table, "mean_abs")

    def stability(self) -> pd.DataFrame:
        """Return how far the members of an ensemble agree, per target and feature.

        Columns target, view, feature, mean_abs (mean over members of each member's own), sd and
        cv over members, same_sign (weighted share of outputs on which all members agree whether
        they rise or fall with the feature), members. Each member is explained with its own share
        of the draws, so part of the scatter is sampling error.

        Raises:
          InputError: there is one member.
        """
        members = self.members
        if members < 2:
            raise InputError(
                "expected an ensemble, found explanations of one network; train with --ensemble, "
                "and explain what is written (latents are those of the first member)"
            )
        parts = []
        for number, (target, outputs) in enumerate(self._blocks()):
            own = self._mean("by_member", lambda a, n=number: a[:, n])
            table = self._features(
                target=target.text,
                mean_abs={v: a.mean(0) for v, a in own.items()},
                sd={v: a.std(0, ddof=1) for v, a in own.items()},
                same_sign={v: _agreement(a[:, outputs]) for v, a in self.totals.product.items()},
            )
            size = table["mean_abs"].where(table["mean_abs"] > 0)
            parts.append(table.assign(cv=table["sd"] / size, members=members))
        return pd.concat(parts, ignore_index=True)

    def values(self) -> pd.DataFrame:
        """Return phi of every sample [samples, (view, feature)] for a single output.

        Raises:
          InputError: there are several outputs.
        """
        if self.account.values is None:
            raise InputError(
                f"expected one output, found {self.outputs}; explain feature:VIEW/NAME or latent:K "
                "to see single samples"
            )
        return self._wide(self.account.values)

    def data(self) -> pd.DataFrame:
        """Return the values explained [samples, (view, feature)], standard units."""
        return self._wide(self.inputs)

    def to_shap(self) -> dict[str, Any]:
        """Return the keywords of `shap.Explanation` for a single output.

        `shap.Explanation(**found.to_shap())` then goes into SHAP's plots.
        """
        values, data = self.values(), self.data()
        return {
            "values": values.to_numpy(),
            "base_values": np.asarray(self.account.baseline_output)[:, 0],
            "data": data.to_numpy(),
            "feature_names": [f"{view}/{feature}" for view, feature in values.columns],
        }

    # -------------------------------------------------------------- helpers

    def joined(self, other: "Explanation") -> "Explanation":
        """Return the explanation of the samples of both, which asked the same of other samples."""
        add, stack = partial(jax.tree.map, np.add), partial(jax.tree.map, _stacked)
        return replace(
            self,
            samples=self.samples.append(other.samples),
            inputs=stack(self.inputs, other.inputs),
            totals=add(self.totals, other.totals),
            account=stack(self.account, other.account),
        )

    @property
    def members(self) -> int:
        """Number of networks explained."""
        return next(iter(self.totals.product.values())).shape[0]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return sum(len(target.names) for target in self.targets)

    def notes(self) -> list[str]:
        """Return what a reader should know: targets that do not depend on their input."""
        found = []
        for target, outputs in self._blocks():
            size = sum(float(np.sum(a[outputs])) for a in self.totals.absolute.values())
            if size / max(len(outputs) * len(self.samples), 1) < NEGLIGIBLE:
                found.append(f"{target.text} does not depend on its input: all attributions are 0")
        return found

    def _blocks(self) -> Iterator[tuple[Target, np.ndarray]]:
        """Yield targets and the numbers of their outputs."""
        first = 0
        for target in self.targets:
            yield target, np.arange(first, first + len(target.names))
            first += len(target.names)

    def _mean(self, name: str, pick: Any) -> dict[str, np.ndarray]:
        """Return some of a total per view, divided by the number of samples."""
        samples = len(self.samples)
        return {view: pick(a) / samples for view, a in getattr(self.totals, name).items()}

    def _direction(self) -> dict[str, np.ndarray]:
        """Return the correlation of phi and x over samples, [outputs, features] per view."""
        return {
            view: _correlation(
                self.inputs[view],
                self.totals.signed[view],
                self.totals.square[view],
                np.asarray(self.totals.product[view]).mean(axis=0),
            )
            for view in self.features
        }

    def _features(self, *, target: str, output: str | None = None, **columns: Any) -> pd.DataFrame:
        """Return one row per feature of all views, with columns given per view."""
        about = {"target": target} | ({} if output is None else {"output": output})
        names = {
            "view": np.repeat(list(self.features), [len(f) for f in self.features.values()]),
            "feature": [name for features in self.features.values() for name in features],
        }
        values = {
            column: np.concatenate([by_view[view] for view in self.features])
            for column, by_view in columns.items()
        }
        return pd.DataFrame(names | values).assign(**about)[[*about, *names, *values]]

    def _wide(self, by_view: Mapping[str, Any]) -> pd.DataFrame:
        """Return [samples, (view, feature)]."""
        pairs = [(view, name) for view, names in self.features.items() for name in names]
        columns = pd.MultiIndex.from_tuples(pairs, names=["view", "feature"])
        cells = np.concatenate([np.asarray(by_view[view]) for view in self.features], axis=1)
        return pd.DataFrame(cells, index=self.samples, columns=columns)


def compare(first: Explanation, second: Explanation, names: tuple[str, str]) -> pd.DataFrame:
    """Return the importance tables of two groups of samples under each other, named in `group`."""
    tables = [
        found.importance().assign(group=name)
        for found, name in zip((first, second), names, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _stacked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return rows under each other."""
    return np.concatenate([np.asarray(first), np.asarray(second)])


def _ranked(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return rows from the largest value to the smallest, with their rank from 1."""
    ordered = table.sort_values(column, ascending=False, kind="stable", ignore_index=True)
    return ordered.assign(rank=np.arange(1, len(ordered) + 1))


def _agreement(product: Any) -> np.ndarray:
    """Return for [members, outputs, features] the share [features] of |mean| with one sign."""
    mean = np.abs(product.mean(axis=0))
    same = np.abs(np.sign(product).sum(axis=0)) == len(product)
    weight = mean.sum(axis=0)
    return np.where(
        weight > 0, (mean * same).sum(axis=0) / np.where(weight > 0, weight, 1.0), np.nan
    )


def _correlation(x: np.ndarray, signed: Any, square: Any, product: Any) -> np.ndarray:
    """Return the correlation [outputs, features] of phi with x [samples, features].

    Args:
      x: NaN where an entry was not measured; phi is 0 there.
      signed, square, product: sums over samples of phi, phi^2 and phi x, [outputs, features].
    """
    count = np.maximum((~np.isnan(x)).sum(axis=0), 1)
    total, squares = np.nansum(x, axis=0), np.nansum(x.astype(np.float64) ** 2, axis=0)
    covariance = product - signed * total / count
    spread_x = np.maximum(squares - total**2 / count, 0.0)
    spread_phi = np.maximum(square - signed.astype(np.float64) ** 2 / count, 0.0)
    size = np.sqrt(spread_x * spread_phi)
    return np.where(size > 1e-12, covariance / np.where(size > 1e-12, size, 1.0), np.nan)
