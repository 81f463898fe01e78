"""`Comparator`: the rivals of the models, simple and published, behind an estimator's verbs.

They read the same tables, answer the same questions and leave the same kind of run folder, so that
every score of a model can stand beside theirs.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import pandas as pd

from jaxomics.comparators import registry
from jaxomics.comparators.base import Fitted
from jaxomics.data.atomic import whole_file
from jaxomics.data.conditionals import Conditionals, fit_conditionals
from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.data.preprocess import Preprocess, fit_preprocess
from jaxomics.errors import InputError
from jaxomics.filling import Filler, Levels, level_ranges
from jaxomics.inference.labels import CLASS_COLUMNS, find_classes
from jaxomics.methods import check_verb
from jaxomics.metrics.classification import ALL, PROBABILITY, class_text
from jaxomics.presets.comparators import ComparatorSettings, comparator_preset

Names: TypeAlias = Sequence[str] | pd.Index
"""Names of samples."""

CONDITIONALS = "conditionals"
"""The name of the view that conditionals form."""


class Comparator(Filler):
    """A comparator with the verbs fit, transform, impute, translate, predict, as far as it can.

    Args:
      name: registry name, such as `mofa`, `softimpute` or `diablo`.
      settings: a preset's name, or `ComparatorSettings`.
      seed: everything random follows from it.
      options: fields of the method's `Config`, in place of those of the settings.

    Attributes (after `fit` or `load`):
      preprocess_, conditionals_: fitted filters, and what stands beside the views.
      fitted_: the method on arrays, `jaxomics.comparators.base.Fitted`.
      label_, classes_: column of classes, and their names where the method learned them.
      levels_: least and largest value of discrete views.
      notes_: what was left out, in sentences.
      seconds_: that the fit took (empty after `load`).

    >>> from jaxomics.data.simulate import simulate_depmap
    >>> cohort = simulate_depmap("tiny", seed=0).cohort
    >>> pca = Comparator("pca", components=4).fit(cohort)
    >>> pca.transform().shape == (len(cohort.samples), 4)
    True
    >>> bool(pca.impute()["drugresponse"].notna().all(axis=None))
    True
    """

    def __init__(
        self,
        name: str,
        settings: ComparatorSettings | str = "recommended",
        *,
        seed: int = 0,
        **options: Any,
    ):
        self.entry = registry.get(name)
        if isinstance(settings, str):
            settings = comparator_preset(self.entry, settings)
        self.settings = settings.with_options(**options)
        self.seed = seed
        self.cohort_: MultiOmics | None = None

    # ------------------------------------------------------------------ fit

    def fit(self, cohort: MultiOmics, *, samples: Names | None = None) -> "Comparator":
        """Fit filters and method.

        Args:
          cohort: the data; may hold samples that are not learned from.
          samples: those that are; all by default.

        Raises:
          InputError: data that cannot be learned from, or no classes where the method needs them.
        """
        started = time.perf_counter()
        trained = cohort.samples if samples is None else pd.Index(samples)
        self.cohort_, self.notes_ = cohort, []
        modelled = self._modelled(cohort)
        config = self.settings.preprocess.choices()
        self.preprocess_: Preprocess = fit_preprocess(modelled, config, trained)
        self.conditionals_: Conditionals = fit_conditionals(
            cohort, self.settings.conditionals, trained
        )
        self.levels_: Levels = level_ranges(modelled.views, self.preprocess_, trained)
        inside = cohort.select_samples(self._enough_views(cohort, trained))
        labels = self._labels(cohort, inside)
        self.fitted_: Fitted = self.entry.fit(
            self._arrays(inside), self.seed, self.settings.config, labels
        )
        self.classes_ = self.fitted_.classes
        self.seconds_ = {"fit": time.perf_counter() - started}
        return self

    def _modelled(self, cohort: MultiOmics) -> MultiOmics:
        """Return the cohort without the views that serve as conditionals, all samples kept."""
        told = set(self.settings.conditionals.columns or ()) - set(cohort.labels.columns)
        views = {name: table for name, table in cohort.views.items() if name not in told}
        if not views:
            raise InputError(
                "expected a view to model, found only views that serve as conditionals; name "
                "fewer of them in --conditionals"
            )
        return replace(cohort, views=views)

    def _enough_views(self, cohort: MultiOmics, trained: pd.Index) -> pd.Index:
        """Return the samples to learn from: those with enough views."""
        views = sum(cohort.present(name).astype(int) for name in cohort.views)
        least = min(self.settings.preprocess.min_views, len(cohort.views))
        kept = trained[np.asarray(views)[cohort.samples.get_indexer(trained)] >= least]
        if len(kept) < len(trained):
            few = len(trained) - len(kept)
            self.notes_.append(f"{few} samples have fewer than {least} views: not learned from")
        return kept

    def _labels(self, cohort: MultiOmics, inside: MultiOmics) -> np.ndarray | None:
        """Find the label column; return the classes to learn from, None where none are learned."""
        told = {term.source for term in self.conditionals_.terms}
        learned = self.entry.capabilities.predict
        self.label_, _ = find_classes(cohort, self.settings.label, learned=learned, told=told)
        if not learned:
            return None
        if self.label_ is None:
            raise InputError(
                f"{self.entry.name} learns classes: expected a label column such as "
                f"{', '.join(CLASS_COLUMNS)}, found {', '.join(cohort.labels.columns) or 'none'}; "
                "name one with --label"
            )
        text = class_text(pd.Series(inside.labels[self.label_]))
        unnamed = inside.samples[text.isna().to_numpy()]
        rows = [("labels", "sample", name, f"no class in {self.label_!r}") for name in unnamed]
        report = [self.preprocess_.report, pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)]
        self.preprocess_ = replace(self.preprocess_, report=pd.concat(report, ignore_index=True))
        self.notes_.append(
            f"{self.entry.name} sees the label column {self.label_!r}: a score of how its latent "
            "space separates these classes says something of new samples only"
        )
        return text.fillna("").to_numpy(str)

    def _arrays(self, cohort: MultiOmics) -> dict[str, np.ndarray]:
        """Return what the method reads of a cohort: views, and conditionals as one more."""
        arrays = self.preprocess_.arrays(cohort)
        if not self.conditionals_.terms:
            return arrays
        return arrays | {CONDITIONALS: self.conditionals_.apply(cohort)}

    # ---------------------------------------------------------------- verbs

    def transform(self, cohort: MultiOmics | None = None) -> pd.DataFrame:
        """Return the place of each sample in the latent space, columns z0, z1, ...

        New samples may have any subset of the views and features.
        """
        check_verb(self.entry.name, "embed")
        cohort = self._cohort(cohort)
        latent = self._fitted().transform(self._arrays(cohort))
        columns = [f"z{i}" for i in range(latent.shape[1])]
        return pd.DataFrame(latent.astype(np.float32), index=cohort.samples, columns=columns)

    def reconstruct(self, cohort: MultiOmics | None = None) -> dict[str, pd.DataFrame]:
        """Return every view that the method writes, in original units, from what a sample has."""
        check_verb(self.entry.name, "impute")
        cohort = self._cohort(cohort)
        output = self._fitted().reconstruct(self._arrays(cohort))
        return {
            name: pd.DataFrame(
                output[name].astype(np.float32),
                cohort.samples,
                self.preprocess_.views[name].features,
            )
            for name in self._written()
        }

    def uncertainty(self, cohort: MultiOmics | None = None, *, draws: int = 20) -> NoReturn:
        """Raise: comparators tell no spread."""
        raise InputError(
            f"{self.entry.name} tells no standard deviations: leave out --draws, or train a model "
            "such as mosa"
        )

    def predict(self, cohort: MultiOmics | None = None, *, sample: bool = False) -> pd.DataFrame:
        """Return the class of each sample and its probabilities.

        Args:
          cohort: samples, with any subset of the views; the training data by default.
          sample: of no effect: nothing is drawn.

        Returns:
          Columns sample, view (`all`), class and p_CLASS, one row per sample.
        """
        check_verb(self.entry.name, "predict")
        cohort = self._cohort(cohort)
        chances = self._fitted().predict(self._arrays(cohort))[ALL]
        best = np.asarray(self.classes_)[chances.argmax(axis=1)]
        named = {f"{PROBABILITY}{name}": chances[:, i] for i, name in enumerate(self.classes_)}
        return pd.DataFrame({"sample": cohort.samples, "view": ALL, "class": best, **named})

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is worth telling of the fit: the method's own tables, and its weights.

        `weights` has the columns view, feature, z0, z1, ...: what each feature, in units of its
        standard deviation, means to each dimension. MOFA tells what its factors `explained`,
        softImpute the `path` of its penalties.
        """
        fitted = self._fitted()
        found = {name: pd.DataFrame(columns) for name, columns in fitted.tables().items()}
        parts = []
        for view, matrix in fitted.weights().items():
            table = pd.DataFrame(matrix, columns=[f"z{i}" for i in range(matrix.shape[1])])
            table.insert(0, "feature", self._features(view))
            table.insert(0, "view", view)
            parts.append(table)
        return found | ({"weights": pd.concat(parts, ignore_index=True)} if parts else {})

    # ---------------------------------------------------------------- files

    def save(self, folder: str | Path) -> None:
        """Write what using it needs into a run folder: filters, fitted facts, state."""
        folder = Path(folder)
        self.preprocess_.save(folder / "preprocess")
        self.conditionals_.save(folder / "preprocess" / "conditionals.json")
        facts = {"label": self.label_, "levels": self.levels_, "notes": self.notes_}
        with whole_file(folder / "preprocess" / "fitted.json") as path:
            path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        registry.save(self._fitted(), folder / "checkpoints" / "comparator.npz")

    def restore(self, folder: str | Path) -> "Comparator":
        """Read what `save` wrote; name, settings and seed are those of this comparator.

        Raises:
          InputError: nothing that `save` wrote, or not whole.
        """
        folder = Path(folder)
        self.fitted_ = registry.load(folder / "checkpoints" / "comparator.npz")
        self.preprocess_ = Preprocess.load(folder / "preprocess")
        self.conditionals_ = Conditionals.load(folder / "preprocess" / "conditionals.json")
        facts = json.loads((folder / "preprocess" / "fitted.json").read_text(encoding="utf-8"))
        self.label_, self.notes_ = facts["label"], facts["notes"]
        self.levels_ = {name: tuple(pair) for name, pair in facts["levels"].items()}
        self.classes_, self.seconds_ = self.fitted_.classes, {}
        return self

    # -------------------------------------------------------------- helpers

    def _features(self, view: str) -> Sequence[str]:
        """Return the names of a view's features; conditionals form a view as well."""
        if view == CONDITIONALS:
            return self.conditionals_.names
        return list(self.preprocess_.views[view].features)

    def _written(self) -> list[str]:
        """Return the views that the method writes: the targets of a translator, or all."""
        targets = getattr(self.settings.config, "targets", None)
        return [name for name in self.preprocess_.views if targets is None or name in targets]

    def _fitted(self) -> Fitted:
        """Return the fitted method, or say that nothing is fitted."""
        if not hasattr(self, "fitted_"):
            raise InputError("expected a fitted comparator, found a fresh one: call fit first")
        return self.fitted_
