"""One set of features for several folds: the ones that every fold's own filters let through.

Filters fitted on the training samples of each fold keep other features in each, and arrays of
other widths cannot share a program. Here every fold gives up what some fold does not have. The
decision looks at training samples only, as the filters do: a fold's test samples are training
samples of the other folds, but all that they can do is leave a feature out.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from jaxomics.data.container import DROPPED_COLUMNS
from jaxomics.data.preprocess import Preprocess
from jaxomics.data.view import ViewPreprocess
from jaxomics.errors import InputError


def agree(fitted: Sequence[Preprocess]) -> list[Preprocess]:
    """Return the preprocessings restricted to what all of them keep and show to the encoder.

    Scaling stays that of each fold. What a fold gives up is added to its report, with the item
    `feature` or `encoder`.

    Args:
      fitted: preprocessings of one cohort, fitted on different samples.

    Raises:
      InputError: no feature of a view, or none for its encoder, is common to all.
    """
    views = [_agree_view(name, [f.views[name] for f in fitted]) for name in fitted[0].views]
    return [
        replace(
            one,
            views={name: found[i] for name, found in zip(one.views, views, strict=True)},
            report=_report(one, [found[i] for found in views], len(fitted)),
        )
        for i, one in enumerate(fitted)
    ]


def _agree_view(name: str, fitted: list[ViewPreprocess]) -> list[ViewPreprocess]:
    """Return one view of every fold, with the features that all have."""
    kept, seen = fitted[0].features, _shown(fitted[0])
    for view in fitted[1:]:
        kept, seen = kept[kept.isin(view.features)], seen[seen.isin(_shown(view))]
    for what, found in (("feature", kept), ("feature for the encoder", seen)):
        if not len(found):
            raise InputError(
                f"view {name!r}: expected a {what} that every fold's training samples keep, found "
                "none; raise max_missing, ask for fewer folds, or leave the view out"
            )
    encoder = np.flatnonzero(kept.isin(seen))
    return [view.restricted(kept, encoder) for view in fitted]


def _shown(view: ViewPreprocess) -> pd.Index:
    """Return the names of the features that the encoder sees."""
    return view.features[view.encoder]


def _report(before: Preprocess, after: list[ViewPreprocess], folds: int) -> pd.DataFrame:
    """Return the report of a fold with what it gave up."""
    rows = []
    reason = f"left out in another one of {folds} folds"
    for (name, old), new in zip(before.views.items(), after, strict=True):
        lost = old.features[~old.features.isin(new.features)]
        rows += [(name, "feature", feature, reason) for feature in lost]
        hidden = _shown(old)[~_shown(old).isin(_shown(new).append(lost))]
        rows += [(name, "encoder", feature, reason) for feature in hidden]
    new_rows = pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)
    return pd.concat([before.report, new_rows], ignore_index=True)
