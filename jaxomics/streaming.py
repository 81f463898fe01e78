"""`StoredEstimator`: an estimator whose training data stay on disk.

Preprocessing is fitted in one pass over the store, and training reads its batches from there. What
comes after training is measured on an excerpt that fits memory. Then it is like any other one.
"""

from dataclasses import replace

import jax
import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import NormaliseConfig
from jaxomics.data.selected import Selected, excerpt, fit_stored, outline, select_features
from jaxomics.data.store import Store
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.engine.drive import Recorder
from jaxomics.engine.state import Split
from jaxomics.engine.streamed import fit_streamed
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.fitting.levels import fit_stored_levels
from jaxomics.fitting.pairing import needs_pairs
from jaxomics.presets import Settings

EXCERPT_BYTES = 16 << 20
"""Size of what is read into memory at a time to encode samples, or to measure a trained model."""


class StoredEstimator(Estimator):
    """An estimator that trains from a store.

    It trains one network: no ensemble, no cross-fitting, no residual factors. Its parameters are
    those that `Estimator` has with the same settings, up to rounding.

    Args:
      store: the cohort on disk.
      labels: sample table, indexed by sample.
      settings: as for `Estimator`; `single` says what of them is left.
      features: feature tables, by view.
      model: registry name.
      seed: everything random follows from it.

    Attributes (after `fit_store`, beside those of `Estimator`):
      outline_: who is measured in which view, and the labels.
      statistics_: of each view.
      selected_: the part of the store that is modelled.
    """

    def __init__(
        self,
        store: Store,
        labels: pd.DataFrame | None = None,
        settings: Settings | str = "recommended",
        *,
        features: dict[str, pd.DataFrame] | None = None,
        model: str = "mosa",
        seed: int = 0,
    ):
        super().__init__(settings, model=model, seed=seed)
        self.store, self.labels, self.features = store, labels, features
        self.settings, self.left_out = single(self.settings)

    def fit_store(self, recorder: Recorder | None = None) -> "StoredEstimator":
        """Fit preprocessing and model.

        Raises:
          InputError: unfit data or settings, a model that cannot be trained from disk or needs
            matched samples, a view as conditional, outcomes, or values that are to be normalised.
        """
        use_compilation_cache()
        self.outline_ = outline(self.store, self.labels, self.features)
        self._check()
        self.prepare(self.outline_)
        self.describe()
        self.notes_ += self.left_out
        self.selected_ = self._select()
        train = fit_streamed if self.model_.level is None else fit_stored_levels
        result = train(
            self.model_, self.selected_, self.standard_, self.split_, self.settings.hyper,
            self.settings.train, key=jax.random.key(self.seed), recorder=recorder,
        )  # fmt: skip
        sample = self._excerpt()
        self.finish(sample, self.data(sample), result)
        return self

    def latent(self) -> pd.DataFrame:
        """Return the latent mean of every sample of the store, [samples, latent]."""
        rows, size = np.arange(len(self.store)), self._most()
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        return pd.concat(
            [self.transform(excerpt(self._measured(), self.outline_, part)) for part in parts]
        )

    def _fit_tables(self, modelled: MultiOmics, trained: pd.Index, scope: pd.Index) -> None:
        """Fit filters and scaling in one pass over the store."""
        config = self.settings.preprocess
        self.preprocess_, self.statistics_ = fit_stored(self.store, modelled, config, trained)
        self.levels_ = {
            name: found.range
            for name, found in self.statistics_.items()
            if found.kind != "continuous"
        }

    def _check(self) -> None:
        """Raise if the settings ask for what is not done from disk."""
        settings, cohort = self.settings, self.outline_
        check_streamed(settings, self.entry.name)
        columns = set(settings.conditionals.columns or ()) - set(cohort.labels.columns)
        if views := sorted(columns & set(cohort.views)):
            raise InputError(
                "expected label columns as conditionals of a model that is trained from disk, "
                f"found view {views[0]!r}; leave it out of --conditionals"
            )

    def _select(self) -> Selected:
        """Return the part of the store that is modelled, with conditionals and classes."""
        return select_features(
            self.store,
            {name: view.features for name, view in self.preprocess_.views.items()},
            self.conditionals_.apply(self.outline_),
            self._classes().codes(self.outline_),
            self.classes_,
            {
                name: v.fill
                for name, v in self.preprocess_.views.items()
                if name in self.preprocess_.config.imputed and v.fill is not None
            },
        )

    def _most(self) -> int:
        """Return how many samples are read into memory at a time."""
        width = sum(map(len, self.selected_.features.values()))
        return max(EXCERPT_BYTES // (4 * width), 1)

    def _measured(self) -> Selected:
        """Return the part of the store that is modelled, with its gaps."""
        return replace(self.selected_, fill={})

    def _excerpt(self) -> MultiOmics:
        """Return the samples to measure on, held-out ones if there are any, and count them alone.

        From then on `split_` and `held_out_` speak of them.
        """
        held = len(self.split_.valid) > 0
        rows = np.asarray(self.split_.valid if held else self.split_.train)
        chosen = np.random.default_rng(self.seed).permutation(rows)[: self._most()]
        if len(chosen) < len(rows):
            what = "held-out" if held else "training"
            self.notes_.append(
                f"scores and uncertainty are measured on {len(chosen)} of {len(rows)} {what} "
                "samples, since all of them need not fit memory"
            )
        sample = excerpt(self._measured(), self.outline_, chosen)
        every = np.arange(len(chosen))
        valid = every if held else every[:0]
        self.split_ = Split(every, len(every), valid, len(valid))
        self.held_out_ = sample.samples[valid]
        return sample


def check_streamed(settings: Settings, model: str) -> None:
    """Raise if settings ask for what is not done from disk, as far as they alone tell.

    Args:
      settings: of a training.
      model: registry name.

    Raises:
      InputError: values that are to be normalised, outcomes, or a model that matches samples.
    """
    own, plain = vars(settings.normalise), vars(NormaliseConfig())
    if asked := [f"{name} = {own[name]}" for name in own if own[name] != plain[name]]:
        raise InputError(
            "expected values that need no normalisation for a model that is trained from disk, "
            f"found {', '.join(asked)}; write normalised tables, or train in memory"
        )
    if needs_pairs(settings):
        raise InputError(
            f"expected a model of single samples, found {model}: who is matched with whom follows "
            "from values of both views, which are not in memory; train it without --stream, or "
            "train atac-vae"
        )
    if named := settings.outcomes.names:
        raise InputError(
            f"expected no outcomes for a model that is trained from disk, found {named[0]!r}; "
            "leave them out, or train in memory"
        )


def single(settings: Settings) -> tuple[Settings, list[str]]:
    """Return settings that train one network alone, and what was left out of them.

    >>> from jaxomics.presets import preset
    >>> single(preset("mosa", "recommended"))[1]
    ['trained from disk: one network instead of 5, without cross-fitting and residual factors']
    """
    train = settings.train
    if train.ensemble == 1 and not train.cross_fit and not settings.residual_factors:
        return settings, []
    alone = replace(train, ensemble=1, cross_fit=False)
    few = f"one network instead of {train.ensemble}" if train.ensemble > 1 else "one network"
    note = f"trained from disk: {few}, without cross-fitting and residual factors"
    return replace(settings, train=alone, residual_factors=False), [note]
