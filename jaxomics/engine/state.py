"""What a run carries: training state, control state, settings, and its result."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from flax import struct

from jaxomics.errors import InputError
from jaxomics.types import Array, Collections, Params


@dataclass(frozen=True)
class Train:
    """How long and by which schedule to train; static. Defaults are MOSA's final fit.

    Attributes:
      epochs: passes over the training rows.
      batch_size: rows per step; never more than there are. The last incomplete batch is dropped.
      schedule: `constant`; `plateau` lowers the rate when validation stalls (needs validation
        rows); `cosine` warms up linearly and falls to `floor_factor` of the rate; `linear` is
        constant until it falls over the last `decay_epochs`; `step` multiplies the rate by
        `step_factor` every `step_epochs`.
      warmup: share of the steps that `cosine` warms up.
      floor_factor: where `cosine` ends, as a share of the learning rate.
      decay_epochs: last epochs of `linear`, whose rate falls by equal steps and ends above 0;
        never more than there are.
      step_epochs: how often `step` lowers the rate.
      step_factor: what it multiplies the rate by.
      plateau_factor: what `plateau` multiplies the rate by.
      plateau_patience: it does so on the (patience + 1)-th epoch without improvement.
      plateau_threshold: least relative change that counts as improvement.
      plateau_floor: least learning rate.
      stop_patience: stop after so many epochs without improvement of validation; None = never.
      restore_best: keep the parameters of the best validation epoch rather than the last.
      valid_fraction: share of the samples held out to watch training; 0 = none.
      ensemble: number of members, trained together from different keys.
      cross_fit: each member leaves out its own share of the training samples, so that errors are
        measured on samples that a member has not seen.
      checkpoint_seconds: least time between two checkpoints.
    """

    epochs: int = 500
    batch_size: int = 256
    schedule: Literal["constant", "plateau", "cosine", "linear", "step"] = "constant"
    warmup: float = 0.05
    floor_factor: float = 0.01
    decay_epochs: int = 0
    step_epochs: int = 50
    step_factor: float = 0.1
    plateau_factor: float = 0.6
    plateau_patience: int = 7
    plateau_threshold: float = 1e-4
    plateau_floor: float = 1e-7
    stop_patience: int | None = None
    restore_best: bool = False
    valid_fraction: float = 0.0
    ensemble: int = 1
    cross_fit: bool = False
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("epochs", "batch_size", "ensemble", "step_epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"expected {name} of at least 1, found {getattr(self, name)}")
        if not 0 <= self.valid_fraction < 1:
            raise InputError(f"expected valid_fraction in [0, 1), found {self.valid_fraction}")
        if self.decay_epochs < 0:
            raise InputError(f"expected decay_epochs of at least 0, found {self.decay_epochs}")
        if self.schedule == "plateau" and self.valid_fraction == 0:
            raise InputError("the plateau schedule watches validation: set valid_fraction above 0")
        if self.stop_patience is not None and self.valid_fraction == 0:
            raise InputError("early stopping watches validation: set valid_fraction above 0")


class Split(NamedTuple):
    """Row numbers of one fold, padded so that folds of unequal size stack.

    Attributes:
      train: int [n_train]; the first `train_size` are valid.
      train_size: int scalar.
      valid: int [n_valid]; may be empty.
      valid_size: int scalar.
    """

    train: Array | np.ndarray
    train_size: Array | int
    valid: Array | np.ndarray
    valid_size: Array | int


class TrainState(struct.PyTreeNode):
    """Everything the next step needs.

    Attributes:
      params: keyed by player.
      optimizer: optimiser state, keyed by player.
      collections: batch statistics and the like.
      step: int32 scalar, steps done.
      key: the run's PRNG key; draws are functions of it and of the step.
    """

    params: Params
    optimizer: dict[str, Any]
    collections: Collections
    step: Array
    key: Array


class Control(struct.PyTreeNode):
    """What decides about the learning rate and about stopping; pure, one per replica.

    Attributes:
      rate: factor on the learning rate (plateau).
      best: best value seen by the plateau rule.
      waited: epochs since then.
      stop_best, stop_waited: the same for early stopping.
      best_epoch: epoch of `stop_best`.
      active: False once stopped.
      best_params: parameters and collections of the best epoch, or an empty tuple.
    """

    rate: Array
    best: Array
    waited: Array
    stop_best: Array
    stop_waited: Array
    best_epoch: Array
    active: Array
    best_params: Any


@dataclass(frozen=True)
class FitResult:
    """A finished run.

    Attributes:
      params: trained parameters, with a leading replica axis if the run had one; on the host
        if it was trained in chunks.
      collections: likewise.
      state: final training state, from which a further stage can start; None after a run in
        chunks, since all states at once are what memory had no room for.
      control: final control state; without `best_params` after a run in chunks.
      history: per replica, one dict per epoch and split, as in metrics.jsonl.
      seconds: compile, run and pause time.
    """

    params: Params
    collections: Collections
    state: TrainState | None
    control: Control
    history: list[dict[str, Any]]
    seconds: dict[str, float]
