"""`Estimator`: tables in, tables out. The one class that a user of the library meets."""

from collections.abc import Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxomics.attribution.summary import Method
from jaxomics.data.batch import Data, make_data
from jaxomics.data.conditionals import Conditionals, fit_conditionals
from jaxomics.data.container import MultiOmics
from jaxomics.data.locations import chromosomes
from jaxomics.data.preprocess import Preprocess, fit_preprocess
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.engine.drive import Recorder
from jaxomics.engine.state import FitResult
from jaxomics.errors import InputError
from jaxomics.explain.explanation import Explanation
from jaxomics.explain.run import How, explain
from jaxomics.filling import Filler, level_ranges
from jaxomics.fitting.pairing import needs_pairs, pair_rows
from jaxomics.fitting.preparation import (
    check_unit_values,
    choose_rows,
    constant_notes,
    filled_views,
    modelled_views,
    sampling_notes,
    step_notes,
)
from jaxomics.fitting.specification import specify, standard_of
from jaxomics.fitting.training import Job, train_jobs
from jaxomics.inference.cohort import Member, encode, split_members, spread
from jaxomics.inference.completion import Completion, fit_completion
from jaxomics.inference.labels import (
    Classes,
    class_notes,
    find_classes,
    labels_seen,
    may_be_seen,
    spare_classes,
)
from jaxomics.inference.novelty import Novelty, fit_novelty, novelty_notes
from jaxomics.inference.outcomes import Outcomes, fit_outcomes, outcome_notes
from jaxomics.inference.prediction import predict
from jaxomics.methods import check_verb
from jaxomics.models.base import Model
from jaxomics.models.registry import entry
from jaxomics.models.withholding import assays
from jaxomics.presets import Settings, preset
from jaxomics.transfer import take_over

Names: TypeAlias = Sequence[str] | pd.Index
"""Names of samples."""


class Estimator(Filler):
    """A model with the verbs fit, transform, impute, uncertainty, translate, predict, explain.

    Args:
      settings: what to train; a preset's name such as `paper` or `recommended`, or `Settings`.
      model: registry name.
      seed: everything random follows from it.

    Attributes (after `fit` or `load`):
      preprocess_, conditionals_: fitted preprocessing.
      spec_, standard_, model_: the data as the model sees them, their scaling, the model.
      outcomes_: what is predicted beside the classes, fitted.
      chromosomes_: number of each feature's chromosome, for views that are read by chromosome.
      classes_, levels_: values of the label column; least and largest value of discrete views.
      spare_: those of the classes that no label names.
      seen_: labels of the samples trained on, by view.
      members_: trained parameters, one entry per member of the ensemble.
      factors_: factor models of the residuals, by view; empty where the settings leave them out.
      novelty_: what tells samples of classes that a view has not seen, by view.
      noise_: residual variance [features] per view, of withheld views and of withheld cells.
      split_, held_out_: rows trained on and held out, and the samples held out (absent after
        `load`).
      pairing_: matched samples, of models that train on them (absent after `load`).
      result_: the training run (None after `load`).
      notes_: what was switched off or left out, in sentences.

    >>> from jaxomics.data.simulate import simulate_depmap
    >>> from jaxomics.presets import quick
    >>> cohort = simulate_depmap("tiny", seed=0).cohort
    >>> est = Estimator(quick(preset("mosa", "recommended")), seed=0).fit(cohort)
    >>> est.transform().shape[0] == len(cohort.samples)
    True
    >>> bool(est.impute()["drugresponse"].notna().all(axis=None))
    True
    """

    def __init__(
        self, settings: Settings | str = "recommended", *, model: str = "mosa", seed: int = 0
    ):
        self.settings = preset(model, settings) if isinstance(settings, str) else settings
        self.entry = entry(model)
        self.seed = seed
        self.cohort_: MultiOmics | None = None
        self.start_: Member | None = None
        self.spare_: tuple[str, ...] = ()
        self.seen_: dict[str, list[str]] = {}

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        cohort: MultiOmics,
        *,
        samples: Names | None = None,
        valid: Names | None = None,
        start: "Estimator | None" = None,
        recorder: Recorder | None = None,
    ) -> "Estimator":
        """Fit preprocessing and model: `prepare`, `describe`, train, `finish`.

        Args:
          cohort: the data; may hold samples that are not trained on.
          samples: training samples; all by default. With fit scope `train`, scaling and filters
            see these only.
          valid: samples to watch training on; by default a share of the training samples that
            the setting `valid_fraction` tells.
          start: a fitted estimator to go on from, with its features, scaling and classes
            (fine-tuning); see `transfer.take_over`.
          recorder: run folder, progress and resuming.
        """
        use_compilation_cache()
        self.prepare(cohort, samples, valid, start)
        self.describe()
        data = self.data(cohort)
        (result,) = train_jobs(
            self.model_, data, [self.job(data)], self.settings.train, recorder=recorder
        )
        self.finish(cohort, data, result)
        return self

    def prepare(
        self,
        cohort: MultiOmics,
        samples: Names | None = None,
        valid: Names | None = None,
        start: "Estimator | None" = None,
    ) -> None:
        """Fit preprocessing and conditionals, and choose the rows; arguments as for `fit`."""
        trained = cohort.samples if samples is None else pd.Index(samples)
        self.notes_: list[str] = []
        self.seen_ = {}
        if start is None:
            self._prepare_features(cohort, trained)
            self._prepare_classes(cohort)
        else:
            take_over(self, start, cohort)
        watched = None if valid is None else pd.Index(valid)
        self.split_, notes = choose_rows(cohort, self.settings, trained, watched, self.seed)
        self.held_out_ = cohort.samples[np.asarray(self.split_.valid, int)]
        self.notes_ += notes
        if self._learns_classes() and self.classes_:
            views, rows = list(self.preprocess_.views), np.asarray(self.split_.train)
            self.notes_ += class_notes(cohort, views, self._classes(), rows)
        self.notes_ += outcome_notes(cohort, self.outcomes_, np.asarray(self.split_.train))
        self.pairing_ = None
        if needs_pairs(self.settings):
            self.pairing_ = pair_rows(cohort, self.settings, self.split_, self.label_)
            self.notes_ += self.pairing_.notes

    def _prepare_features(self, cohort: MultiOmics, trained: pd.Index) -> None:
        """Fit preprocessing, conditionals and outcomes."""
        settings, modelled = self.settings, modelled_views(cohort, self.settings)
        scope = cohort.samples if settings.preprocess.fit_scope == "all" else trained
        self._fit_tables(modelled, trained, scope)
        check_unit_values(settings, self.preprocess_)
        self.notes_ += constant_notes(settings, self.preprocess_)
        self.conditionals_: Conditionals = fit_conditionals(cohort, settings.conditionals, scope)
        self.outcomes_: Outcomes = fit_outcomes(cohort, settings.outcomes, scope)
        self.chromosomes_ = {
            name: chromosomes(cohort.features.get(name))
            for name in getattr(settings.config, "grouped", ())
            if name in modelled.views
        }
        self.notes_ += [
            f"view {name!r} has no feature table with chromosomes: read as a whole"
            for name, places in self.chromosomes_.items()
            if not places
        ]

    def _fit_tables(self, modelled: MultiOmics, trained: pd.Index, scope: pd.Index) -> None:
        """Fit filters and scaling, and note the range of views of whole numbers."""
        settings = self.settings
        self.preprocess_: Preprocess = fit_preprocess(
            modelled, settings.preprocess, trained, settings.normalise
        )
        self.notes_ += self.preprocess_.notes
        self.levels_ = level_ranges(modelled.views, self.preprocess_, scope)

    def prepare_like(self, other: "Estimator") -> None:
        """Take over what another estimator has prepared on the same samples."""
        for name in (
            "notes_", "preprocess_", "conditionals_", "outcomes_", "chromosomes_", "label_",
            "classes_", "spare_", "seen_", "levels_", "split_", "held_out_", "pairing_",
        ):  # fmt: skip
            setattr(self, name, getattr(other, name))

    def describe(self, like: "Estimator | None" = None) -> None:
        """Set what follows from the fitted preprocessing alone: spec, scaling and model.

        Args:
          like: an estimator with the same features, whose model is taken, so that functions
            compiled for one serve all.
        """
        filled = filled_views(self.settings, list(self.preprocess_.views))
        self.standard_ = standard_of(self.preprocess_, filled)
        if like is not None:
            self.spec_, self.model_ = like.spec_, like.model_
            return
        self.spec_ = specify(
            self.preprocess_, len(self.conditionals_.names), self.classes_, self.settings.config,
            self.outcomes_.specs, self.chromosomes_,
        )  # fmt: skip
        self.model_: Model = self.entry.build(self.settings.config, self.spec_)
        if self.outcomes_.specs and self.model_.tasks.risk is None:
            raise InputError(
                f"expected a model that predicts outcomes such as omiembed, found "
                f"{self.entry.name}; leave the outcomes out"
            )

    def data(self, cohort: MultiOmics) -> Data:
        """Put a cohort on the device as the fitted model reads it."""
        arrays = self.preprocess_.arrays(cohort)
        conditionals = self.conditionals_.apply(cohort)
        targets = self.outcomes_.arrays(cohort)
        return make_data(arrays, conditionals, self._classes().codes(cohort), targets)

    def job(self, data: Data) -> Job:
        """Return what is to be trained, once it is prepared; `data` as `data()` gives them."""
        return Job(
            self.standard_, data.conditionals, self.split_, self.settings.hyper, self.seed,
            self.start_, data.targets, data.known,
            None if self.pairing_ is None else jnp.asarray(self.pairing_.rows),
        )  # fmt: skip

    def finish(self, cohort: MultiOmics, data: Data, result: FitResult) -> None:
        """Take over a training, and fit what comes after it: residual factors, noise, novelty."""
        self.result_ = result
        self.members_ = split_members(
            result.params, result.collections, self.settings.train.ensemble
        )
        split, settings = self.split_, self.settings
        self.cohort_, self.factors_, self.noise_ = cohort, {}, {}
        self.novelty_: dict[str, Novelty] = {}
        if self._learns_classes():
            views, rows = list(self.preprocess_.views), np.asarray(split.train)
            self.seen_ = labels_seen(cohort, views, self._classes(), rows, self.seen_)
        batch = settings.train.batch_size
        self.notes_ += sampling_notes(cohort, self.spec_.names, self.model_, split, batch)
        if result.state is not None:
            steps = int(np.max(np.asarray(result.state.step)))
            self.notes_ += step_notes(steps, settings.train.epochs)
        if self.model_.tasks.decode is None:
            return
        linked = getattr(settings.config, "linked", ())
        completion, self.noise_ = fit_completion(
            self._completion(), data, split, settings.train, assays(linked, self.spec_.names),
            self.seed, residual_factors=settings.residual_factors,
        )  # fmt: skip
        self.factors_ = completion.factors
        if settings.novelty and self._learns_classes():
            self.novelty_ = fit_novelty(
                data, self.standard_, np.asarray(split.train), self._classes().codes(cohort),
                np.array([name not in self.spare_ for name in self.classes_]), self.seed,
                may_be_seen(self.classes_, self.seen_),
            )  # fmt: skip
            self.notes_ += novelty_notes(self.novelty_, self.classes_)

    def _prepare_classes(self, cohort: MultiOmics) -> None:
        """Find the classes of the label column, and note when a term that needs them is off."""
        config = self.settings.config
        self.label_, self.classes_ = find_classes(
            cohort,
            self.settings.label,
            learned=self._learns_classes(),
            count=getattr(config, "classes", None),
            told={term.source for term in self.conditionals_.terms},
        )
        self.spare_ = spare_classes(cohort, self._classes())
        if self.label_ is None and getattr(config, "contrastive", "none") == "label":
            self.notes_.append("no label column 'tissue': the contrastive term is off")

    def _learns_classes(self) -> bool:
        """Tell whether the model is one that predicts classes."""
        return "predict" in self.entry.verbs

    def _classes(self) -> Classes:
        """Return label column and classes as one value."""
        return Classes(self.label_, self.classes_)

    def _completion(self) -> Completion:
        """Return what writes every cell in standard units."""
        return Completion(self._fitted(), self.members_, self.standard_, self.factors_)

    # ---------------------------------------------------------------- verbs

    def transform(self, cohort: MultiOmics | None = None) -> pd.DataFrame:
        """Return the latent mean of each sample, [samples, latent], columns z0, z1, ...

        New samples may have any subset of the views and features. An ensemble's members have
        latents of their own; this is the first member's. Where every view has an encoder of its
        own, a sample's latent is the mean over the views that it has.
        """
        check_verb(self.entry.name, "embed")
        cohort = self._cohort(cohort)
        mean, _ = encode(self._fitted(), self.members_[0], self.data(cohort), self.standard_)
        columns = [f"z{i}" for i in range(mean.shape[1])]
        return pd.DataFrame(mean, index=cohort.samples, columns=columns)

    def reconstruct(self, cohort: MultiOmics | None = None) -> dict[str, pd.DataFrame]:
        """Return every view that the model writes, from what each sample has, in original units.

        A translator writes its target views, other models all. Of a sample without any view they
        write what they say of nobody in particular.
        """
        cohort = self._cohort(cohort)
        output = self._completion()(self.data(cohort))
        return {
            name: self._table(name, output[name], cohort.samples)
            for name in self.preprocess_.views
            if name in output
        }

    def uncertainty(
        self, cohort: MultiOmics | None = None, *, draws: int = 20
    ) -> dict[str, pd.DataFrame]:
        """Return the standard deviation of each completed cell, in original units.

        Adds the spread over posterior draws of z and ensemble members to the residual variance
        of the feature, which depends on whether its view was measured in the sample. Cells that
        were measured have 0.
        """
        check_verb(self.entry.name, "impute")
        cohort = self._cohort(cohort)
        if draws < 2:
            raise InputError(f"expected at least 2 draws, found {draws}")
        data = self.data(cohort)
        variance = spread(self._fitted(), self.members_, data, self.standard_, draws, self.seed)
        tables = {}
        for name, fitted in self.preprocess_.views.items():
            observed = np.asarray(data.observed[name])
            absent, hidden = self.noise_[name]
            noise = np.where(observed.any(axis=1, keepdims=True), hidden[None], absent[None])
            sd = np.sqrt(variance[name] + noise) * fitted.scale[None]
            sd = np.where(observed, 0.0, sd).astype(np.float32)
            tables[name] = pd.DataFrame(sd, index=cohort.samples, columns=fitted.features)
        return tables

    def predict(self, cohort: MultiOmics | None = None, *, sample: bool = False) -> pd.DataFrame:
        """Return the class of each sample and its probabilities, and other outcomes.

        Args:
          cohort: samples, with any subset of the views; needs no labels. The training data by
            default.
          sample: draw z instead of taking its mean, as some published code does.

        Returns:
          Columns sample, view, class and p_CLASS, and what else the model predicts (see
          `Outcomes.columns`): values, risk and survival, further classes. One row per
          sample and view where the model predicts from single views, else one per sample with
          the view `all`.
        """
        check_verb(self.entry.name, "predict")
        cohort = self._cohort(cohort)
        return predict(
            self._fitted(), self.members_, self.data(cohort), self.standard_, cohort.samples,
            self.classes_, self.outcomes_, self.novelty_, self.seed if sample else None,
        )  # fmt: skip

    def explain(
        self,
        cohort: MultiOmics | None = None,
        *,
        target: str | Sequence[str] = "latent",
        method: Method = "expected",
        draws: int = 256,
        samples: Names | None = None,
        background: Names | None = None,
        how: How | None = None,
        seed: int = 42,
        quiet: bool = True,
    ) -> Explanation:
        """Return what the model's outputs owe to each input, over all samples.

        Args:
          cohort: the samples; the training data by default.
          target: `latent`, `latent:K`, `view:VIEW`, `feature:VIEW/NAME`, or several of them.
          method: `expected`, `integrated`, `smooth` or `gradient`.
          draws: per sample; see `How`.
          samples: which to explain; all by default.
          background: samples whose values are the baselines; the whole cohort by default.
          how: all choices; stands in for `method` and `draws`.
          seed: of the draws.
          quiet: show no progress.

        Raises:
          InputError: an unknown target, method or sample, or too small a background or memory.
        """
        check_verb(self.entry.name, "explain")
        self._fitted()
        texts = [target] if isinstance(target, str) else list(target)
        chosen = how or How(method, draws)
        return explain(
            self, self._cohort(cohort), texts, chosen,
            samples=samples, background=background, seed=seed, quiet=quiet,
        )  # fmt: skip

    # -------------------------------------------------------------- helpers

    def _table(self, name: str, output: np.ndarray, samples: pd.Index) -> pd.DataFrame:
        """Return a view in standard units [samples, features] as a table in original units."""
        values = np.asarray(self.preprocess_.invert(name, output), np.float32)
        return pd.DataFrame(values, index=samples, columns=self.preprocess_.views[name].features)

    def _fitted(self) -> Model:
        """Return the fitted model, or say that nothing is fitted."""
        if not hasattr(self, "members_"):
            raise InputError("expected a fitted estimator, found a fresh one: call fit first")
        return self.model_
