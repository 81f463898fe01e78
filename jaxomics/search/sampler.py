"""Draws of trials: Optuna's TPE, as a function of seed, trial, field and history."""

import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

Space = dict[str, BaseDistribution]


class Sampler(BaseSampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011) without hidden state.

    Every draw has a generator of its own, made of seed, number of the trial and name of the field.
    So a search that is resumed, or shared by several processes, never repeats its random numbers,
    and one process gives the same trials whenever it is started. Trials that are still running
    count as bad ones (`constant_liar`), which spreads the trials of a group.

    Attributes:
      fixed: values that are not drawn, by field: what the trials of a group have in common. The
        trials record them as if drawn, so the history has every field of every trial.
    """

    def __init__(self, seed: int, startup: int):
        """Set up the draws.

        Args:
          seed: of the search.
          startup: finished trials before which draws are random.
        """
        self.fixed: Mapping[str, Any] = {}
        self._seed, self._startup = seed, startup

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Space:
        """Return the fields that are drawn together: none."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Space
    ) -> dict[str, Any]:
        """Return no values, since no fields are drawn together."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the value of one field of one trial."""
        if param_name in self.fixed:
            return self.fixed[param_name]
        words = [self._seed, trial.number, zlib.crc32(param_name.encode())]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            tpe = TPESampler(
                n_startup_trials=self._startup,
                seed=int(np.random.SeedSequence(words).generate_state(1)[0]),
                constant_liar=True,
            )
        return tpe.sample_independent(study, trial, param_name, param_distribution)
