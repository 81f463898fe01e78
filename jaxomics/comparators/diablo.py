"""DIABLO: components of several views that vary together and tell classes apart.

Singh et al. 2019, Bioinformatics 35:3055; sparse generalised canonical correlation after Tenenhaus
et al. 2014, Biostatistics 15:569. A reimplementation, checked on partial least squares of
scikit-learn. With one-hot classes, standardised, as one more block Y, each component maximises

    sum_{q != r} C_qr cov(t_q, t_r),   t_q = R_q a_q,   |a_q| = 1   (a_q with `keep` entries)

where C is `link` between two views and 1 between a view and Y. In turn for each block

    z = sum_r C_qr t_r,   a_q <- soft threshold of R_q' z, to unit length,   t_q = R_q a_q

and then R_q <- R_q - t_q p_q', p_q = R_q' t_q / t_q' t_q; Y is left with the mean of what each t_q
leaves of it. Sums are over measured cells, as in NIPALS: t is divided by the sum of a^2 over what
was measured of the sample. A sample without a view has t = 0 there.

The latent space is [t_1 | t_2 | ...], one part per view. It was made with the classes in sight, so
a score of how well it separates these classes on its training samples says nothing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxomics.comparators.base import Capabilities, Layout, Method, State
from jaxomics.comparators.threshold import soft_keep
from jaxomics.errors import InputError

ALL = "all"
"""The name of what all views say together."""

_ROUNDS, _CALM = 100, 1e-6
"""Most rounds of a component, and the squared change of its directions at which it is found."""

_NOTHING = 1e-10
"""Share of a block's sum of squares below which nothing is left of it."""


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of Cai et al. 2024.

    Attributes:
      components: how many of each view.
      link: wanted agreement of two views, beside 1 with the classes; 0 asks for classes only.
      keep: features of each view that a component uses; 0 = all.
      voting: components that predict classes; 0 = one less than there are classes.
    """

    components: int = 30
    link: float = 0.1
    keep: int = 0
    voting: int = 0


class Block(NamedTuple):
    """What is left of a view, or of the classes.

    Attributes:
      rest: [samples, features], 0 where not measured.
      seen: [samples, features], 1 where measured, else 0.
    """

    rest: np.ndarray
    seen: np.ndarray

    def score(self, direction: np.ndarray) -> np.ndarray:
        """Return t [samples] of a direction of unit length; 0 where nothing of it was measured."""
        weight = self.seen @ direction**2
        total = self.rest @ direction
        return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)

    def loading(self, t: np.ndarray) -> np.ndarray:
        """Return p [features], the regression of each feature on t over who has it."""
        weight = self.seen.T @ t**2
        total = self.rest.T @ t
        return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)

    def without(self, t: np.ndarray, loading: np.ndarray) -> "Block":
        """Return the block without what t explains."""
        return self._replace(rest=self.rest - self.seen * np.outer(t, loading))


def learn(
    rows: np.ndarray, layout: Layout, config: Config, seed: int, classes: np.ndarray
) -> State:
    """Find the components.

    Returns:
      `classes` and their `frequency`; `bounds` [views, 2], first and last column of each view;
      `directions` and `loadings` [features, components]; and `votes` [views, components, classes],
      the regression of one-hot classes on the variates of each view.
    """
    _check(config)
    names, codes = np.unique(classes, return_inverse=True)
    one_hot = np.eye(len(names))[codes]
    seen = ~np.isnan(rows)
    blocks = [
        Block(np.nan_to_num(rows[:, c]), seen[:, c].astype(float)) for c in layout.slices.values()
    ]
    outcome = (one_hot - one_hot.mean(axis=0)) / one_hot.std(axis=0)
    directions, loadings = _components(blocks, Block(outcome, np.ones_like(outcome)), config)
    state: State = {
        "classes": names,
        "frequency": one_hot.mean(axis=0),
        "bounds": np.array([[c.start, c.stop] for c in layout.slices.values()]),
        "directions": directions,
        "loadings": loadings,
    }
    voting = min(config.voting or len(names) - 1, directions.shape[1])
    centred = one_hot - one_hot.mean(axis=0)
    variates = [t[:, :voting] for t in _variates(state, rows)]
    votes = [np.linalg.lstsq(t, centred, rcond=1e-10)[0] for t in variates]
    return {**state, "votes": np.stack(votes)}


def embed(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the variates of all views side by side, [samples, views * components].

    Without missing cells t = X W with W = A (P' A)^-1, A the directions and P the loadings.
    """
    return np.concatenate(_variates(state, rows), axis=1)


def classify(state: State, rows: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """Return probabilities [samples, classes] from each view, and their mean over those present.

    They are one-hot classes regressed on the variates, cut to 0 .. 1, to a sum of 1. A sample
    without any view gets the frequencies of the training samples.
    """
    said, present = {}, {}
    for view, t, vote in zip(layout.slices, _variates(state, rows), state["votes"], strict=True):
        raw = np.clip(t[:, : vote.shape[0]] @ vote + state["frequency"], 1e-9, 1.0)
        said[view] = raw / raw.sum(axis=1, keepdims=True)
        present[view] = ~np.isnan(rows[:, layout.slices[view]]).all(axis=1)
    weight = np.stack([present[view] for view in said])[:, :, None]
    total = (np.stack(list(said.values())) * weight).sum(axis=0)
    count = weight.sum(axis=0)
    return {**said, ALL: np.where(count > 0, total / np.maximum(count, 1), state["frequency"])}


def _check(config: Config) -> None:
    """Raise if a setting cannot be meant."""
    for name, least in (("components", 1), ("link", 0), ("keep", 0), ("voting", 0)):
        value = getattr(config, name)
        if value < least:
            raise InputError(f"expected {name} of {least} or more, found {value}")


def _components(
    blocks: list[Block], outcome: Block, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Return directions and loadings, [features, components], until nothing is left."""
    sizes = [(block.rest**2).sum() for block in [*blocks, outcome]]
    directions, loadings = [], []
    for _ in range(config.components):
        left = [(block.rest**2).sum() for block in [*blocks, outcome]]
        gone = [now <= _NOTHING * size for now, size in zip(left, sizes, strict=True)]
        if all(gone[:-1]) or gone[-1]:
            break
        found = _directions(blocks, outcome, config)
        scores = [block.score(a) for block, a in zip(blocks, found, strict=True)]
        own = [block.loading(t) for block, t in zip(blocks, scores, strict=True)]
        outcome = outcome._replace(
            rest=np.mean([outcome.without(t, outcome.loading(t)).rest for t in scores], axis=0)
        )
        blocks = [b.without(t, p) for b, t, p in zip(blocks, scores, own, strict=True)]
        directions.append(np.concatenate(found))
        loadings.append(np.concatenate(own))
    return np.stack(directions, axis=1), np.stack(loadings, axis=1)


def _directions(blocks: list[Block], outcome: Block, config: Config) -> list[np.ndarray]:
    """Return the direction of each view for one component."""
    every = [*blocks, outcome]
    a = [_first_left(block.rest.T @ outcome.rest) for block in blocks]
    a.append(_first_left((blocks[0].rest.T @ outcome.rest).T))
    t = [block.score(direction) for block, direction in zip(every, a, strict=True)]
    last = len(blocks)
    for _ in range(_ROUNDS):
        change = 0.0
        for q, block in enumerate(every):
            links = [1.0 if last in (q, r) else config.link for r in range(last + 1)]
            z = sum(links[r] * t[r] for r in range(last + 1) if r != q)
            new = soft_keep(block.rest.T @ z, config.keep if q < last else 0)
            new = new / (np.linalg.norm(new) or 1.0)
            change = max(change, ((new - a[q]) ** 2).sum())
            a[q], t[q] = new, block.score(new)
        if change < _CALM:
            break
    sign = np.sign(a[last][np.abs(a[last]).argmax()]) or 1.0
    return [sign * direction for direction in a[:last]]


def _first_left(matrix: np.ndarray) -> np.ndarray:
    """Return the first left singular vector, by the smaller product of the matrix with itself."""
    if matrix.shape[0] <= matrix.shape[1]:
        return np.linalg.eigh(matrix @ matrix.T)[1][:, -1]
    vector = matrix @ np.linalg.eigh(matrix.T @ matrix)[1][:, -1]
    return vector / (np.linalg.norm(vector) or 1.0)


def _variates(state: State, rows: np.ndarray) -> list[np.ndarray]:
    """Return t [samples, components] of each view, component by component as in training."""
    found = []
    for start, stop in state["bounds"]:
        own = rows[:, start:stop]
        block = Block(np.nan_to_num(own), (~np.isnan(own)).astype(float))
        scores = []
        for a, p in zip(
            state["directions"][start:stop].T, state["loadings"][start:stop].T, strict=True
        ):
            scores.append(block.score(a))
            block = block.without(scores[-1], p)
        found.append(np.stack(scores, axis=1))
    return found


METHOD = Method(
    name="diablo",
    paper="Singh et al. 2019, Bioinformatics 35:3055 (reimplementation)",
    capabilities=Capabilities(latent=True, reconstruct=False, transform=True, predict=True),
    config=Config(),
    learn=learn,
    embed=embed,
    classify=classify,
    weights="directions",
)
"""DIABLO."""
