"""Explaining a fitted estimator: from questions to streamed attributions of all samples.

Attributions are those of the networks: what residual factors add to completed cells of measured
views is no part of them. A question about latents is asked of the first member of an ensemble,
like `Estimator.transform`; other questions are asked of the mean of all members.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from jaxomics.attribution.precision import double
from jaxomics.attribution.summary import Method, Plan
from jaxomics.attribution.targets import Target, resolve
from jaxomics.data.container import MultiOmics
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.errors import InputError, unknown
from jaxomics.explain.explanation import Explanation
from jaxomics.explain.work import Work, joined
from jaxomics.halfway import Halfway

if TYPE_CHECKING:
    from jaxomics.estimator import Estimator


@dataclass(frozen=True)
class How:
    """How to explain.

    Attributes:
      method: `expected` gradients (Erion et al. 2021; what SHAP's GradientExplainer estimates),
        `integrated` gradients from the mean of the background, `smooth` gradients, `gradient`.
      draws: of each sample; nodes for `integrated`.
      plain: draw without strata, as GradientExplainer does.
      pairs: draw antithetic pairs: a smaller completeness gap, less exact values.
      missing: entries that were not measured are `zero`s like others, as published, or `absent`,
        then they count for nothing and the network is told so; `auto` takes `absent` for networks
        that are told what is there.
      way: through the `latent`, or `outputs` one by one; the numbers are the same.
      memory: GiB that the computation may take.
      double: compute in float64.
    """

    method: Method = "expected"
    draws: int = 256
    plain: bool = False
    pairs: bool = False
    missing: Literal["auto", "zero", "absent"] = "auto"
    way: Literal["auto", "latent", "outputs"] = "auto"
    memory: float = 4.0
    double: bool = False

    def __post_init__(self) -> None:
        """Check that the settings go together."""
        if self.plain and self.pairs:
            raise InputError("expected plain draws or pairs, found both; choose one")


def explain(
    estimator: "Estimator",
    cohort: MultiOmics,
    targets: Sequence[str],
    how: How,
    *,
    samples: Sequence[str] | pd.Index | None = None,
    background: Sequence[str] | pd.Index | None = None,
    seed: int = 42,
    quiet: bool = True,
    halfway: Path | None = None,
) -> Explanation:
    """Explain targets for all samples; see `Estimator.explain` for the other arguments.

    Args:
      estimator, cohort, targets, how, samples, background, seed, quiet: what and how to explain.
      halfway: folder in which is kept what is done, to go on from after an interruption. It is
        left behind.

    Raises:
      InputError: see `Estimator.explain`; the folder holds the beginning of something else.
    """
    use_compilation_cache()
    asked = _targets(estimator, targets)
    rows = _rows(cohort, samples, "sample to explain")
    behind = _rows(cohort, background, "background sample")
    if how.method in ("expected", "integrated") and len(behind) < 2:
        raise InputError(
            f"expected a background of two samples or more, found {len(behind)}; name more, or "
            "take the method smooth or gradient, which need none"
        )
    members = 1 if any(target.view is None for target in asked) else len(estimator.members_)
    plan = Plan(
        how.method,
        how.draws,
        stratified=not how.plain,
        antithetic=how.pairs,
        members=members,
    )
    with double() if how.double else nullcontext():
        work = Work(estimator, cohort, plan, how, behind, seed)
        parts = work.parts(asked)
        kept = Halfway(halfway, work.fingerprint(asked, rows) if halfway else "")
        found = [work.run(part, rows, kept, i, quiet) for i, part in enumerate(parts)]
    owners = [next(i for i, t in enumerate(asked) if t.text == part[0].text) for part in parts]
    totals, account = joined(found, owners)
    return Explanation(
        targets=tuple(asked),
        features=work.features,
        samples=cohort.samples[rows],
        inputs=work.inputs(rows),
        sampled=plan.sampled,
        complete=plan.method in ("expected", "integrated"),
        totals=totals,
        account=account,
    )


def _targets(estimator: "Estimator", targets: Sequence[str]) -> list[Target]:
    """Return the questions, those on latents first.

    Raises:
      InputError: none, an unknown one, or one asked twice.
    """
    if not targets:
        raise InputError("expected a target, found none; name latent, view:VIEW, ...")
    features = {name: list(v.features) for name, v in estimator.preprocess_.views.items()}
    latent = estimator.settings.config.latent
    asked = [resolve(text, features, latent) for text in targets]
    if len(set(targets)) < len(targets):
        raise InputError(f"expected each target once, found {', '.join(targets)}")
    return sorted(asked, key=lambda target: target.view is not None)


def _rows(cohort: MultiOmics, samples: Sequence[str] | pd.Index | None, what: str) -> np.ndarray:
    """Return the rows of some samples; all by default."""
    if samples is None:
        return np.arange(len(cohort.samples))
    rows = cohort.samples.get_indexer(pd.Index(samples))
    if not len(rows):
        raise InputError(f"expected a {what}, found none")
    if (rows < 0).any():
        raise unknown(what, str(pd.Index(samples)[rows < 0][0]), cohort.samples)
    return rows
