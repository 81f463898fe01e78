"""Cross-fitting: each member of an ensemble leaves out its own share of the training samples.

A network fits its training samples better than others, so what it leaves unexplained of them says
little about new samples. With cross-fitting every training sample has a member that never saw it;
residual factors and residual variances are then measured as if on new samples, at the price of
members that train on a little less (Chernozhukov et al. 2018 use the idea for other ends).
"""

from collections.abc import Sequence

import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.engine.state import Split, Train
from jaxomics.inference.cohort import Member, complete, pick
from jaxomics.models.base import Model

NOBODY = -1


def left_out_by(split: Split, train: Train, seed: int) -> np.ndarray:
    """Return int [training rows]: the member that leaves the row out, or `NOBODY`.

    Nobody leaves out anything without `Train.cross_fit`, and where there are fewer than two rows
    per member.

    >>> rows = Split(np.arange(6), 6, np.arange(0), 0)
    >>> sorted(left_out_by(rows, Train(ensemble=3, cross_fit=True), seed=0).tolist())
    [0, 0, 1, 1, 2, 2]
    """
    rows = int(split.train_size)
    if not train.cross_fit or train.ensemble < 2 or rows < 2 * train.ensemble:
        return np.full(rows, NOBODY)
    return np.random.default_rng([seed, rows]).permutation(rows) % train.ensemble


def member_splits(split: Split, train: Train, seed: int) -> list[Split]:
    """Return the split of each member of an ensemble; validation rows are common to all."""
    owner = left_out_by(split, train, seed)
    rows = np.asarray(split.train)[: len(owner)]
    kept = [rows[owner != member] for member in range(train.ensemble)]
    return [split._replace(train=own, train_size=len(own)) for own in kept]


def complete_unseen(
    model: Model, members: Sequence[Member], data: Data, standard: Standard, owner: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the reconstruction of each row by the member that left it out, [samples, features].

    Args:
      model, standard: as trained.
      members: of the ensemble.
      data: the training rows.
      owner: int [samples], as `left_out_by` gives it; rows that nobody left out are
        reconstructed by all members.
    """
    output: dict[str, np.ndarray] = {}
    numbers, counts = np.unique(owner, return_counts=True)
    for number in numbers:
        rows = np.flatnonzero(owner == number)
        chosen = list(members) if number == NOBODY else [members[number]]
        # Shares are filled up to one length, so that all are computed by one program.
        part = pick(data, np.resize(rows, counts.max()))
        for view, values in complete(model, chosen, part, standard).items():
            output.setdefault(view, np.zeros((len(owner), values.shape[1]), np.float32))
            output[view][rows] = values[: len(rows)]
    return output
