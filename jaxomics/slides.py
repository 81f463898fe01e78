"""Slides to bulk RNA: read tile embeddings, predict profiles by cross-fitting, score them.

The second part of Nagaraj et al. 2023: any pathology encoder turns the tiles of a slide into
vectors; a supervised model turns these into a bulk profile; the imputed profiles then train the VAE
of bulk RNA like measured ones. Profiles of slides with measured RNA come from models that have not
seen the slide's donor, those of other slides from a model of all.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.engine.state import Split, Train
from jaxomics.errors import InputError
from jaxomics.fitting.training import Job, padded, train_jobs
from jaxomics.inference.cohort import Member, complete
from jaxomics.metrics.correlation import defined_mean, spearman
from jaxomics.models import tiles

TILES = 2000
"""Most tiles of a slide that are read."""

TRAIN = Train(epochs=100, batch_size=16, schedule="cosine")
"""How long networks are trained."""

PENALTIES = np.logspace(-1, 6, 15)
"""Ridge penalties to choose from, by leaving out one slide at a time."""


class Slides(NamedTuple):
    """Tile embeddings of several slides.

    Attributes:
      samples: ids of the slides' samples.
      bags: float32 [slides, tiles, width]; NaN pads slides with fewer tiles.
    """

    samples: pd.Index
    bags: np.ndarray

    def means(self) -> pd.DataFrame:
        """Return the average tile of each slide, an ordinary view: samples x width."""
        mean = np.asarray(np.nanmean(self.bags, axis=1, dtype=np.float64))
        return pd.DataFrame(mean, self.samples).add_prefix("tile")


def read_slides(folder: str | Path, tiles: int = TILES, seed: int = 0) -> Slides:
    """Read a folder of arrays [tiles, width], one `SAMPLE.npz` or `SAMPLE.npy` per slide.

    Args:
      folder: the files; an `.npz` holds one array, or one named `tiles`.
      tiles: most tiles per slide; of more, so many are drawn.
      seed: of the draw.

    Raises:
      InputError: no such files, arrays that are not [tiles, width] of finite numbers, or of
        different widths.
    """
    paths = sorted(p for p in Path(folder).glob("*") if p.suffix in (".npz", ".npy"))
    if not paths:
        raise InputError(
            f"{folder}: expected one SAMPLE.npz or SAMPLE.npy per slide, found none; name the "
            "folder that holds them"
        )
    random, arrays = np.random.default_rng(seed), []
    for path in paths:
        array = _read(path)
        if len(array) > tiles:
            array = array[np.sort(random.choice(len(array), tiles, replace=False))]
        arrays.append(array)
    widths = {array.shape[1] for array in arrays}
    if len(widths) > 1:
        raise InputError(
            f"{folder}: expected tiles of one width, found {sorted(widths)}; read the slides of "
            "one encoder"
        )
    bags = np.full((len(arrays), max(map(len, arrays)), widths.pop()), np.nan, np.float32)
    for bag, array in zip(bags, arrays, strict=True):
        bag[: len(array)] = array
    return Slides(pd.Index([path.stem for path in paths], name="sample"), bags)


def impute_slides(
    slides: Slides,
    rna: pd.DataFrame,
    method: Literal["mlp", "ridge"] = "mlp",
    *,
    folds: int = 5,
    group: pd.Series | None = None,
    config: tiles.Config | None = None,
    hyper: tiles.Hyper | None = None,
    train: Train = TRAIN,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict the bulk profile of every slide.

    Args:
      slides: tile embeddings.
      rna: measured profiles of some of the samples, samples x genes, without missing cells, on a
        log scale.
      method: a network on tiles, or ridge regression on the average tile.
      folds: of the slides with RNA; each is predicted by a model that has not seen it.
      group: donor by sample; slides of one donor stand in one fold.
      config, hyper, train: of the network.
      seed: of the network and of the order of folds.

    Returns:
      Profiles, slides x genes, in the units of `rna`.

    Raises:
      InputError: fewer slides or donors with RNA than folds, or cells that are not finite.
    """
    known = slides.samples.isin(rna.index)
    y = rna.reindex(slides.samples).to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(y[known]).all():
        raise InputError("expected finite cells of rna, found empty or infinite ones; fill them")
    groups = slides.samples if group is None else group.reindex(slides.samples)
    donors = pd.factorize(pd.Series(groups, slides.samples).astype(str))[0]
    rows = np.flatnonzero(known)
    if len(np.unique(donors[rows])) < max(folds, 2):
        raise InputError(
            f"expected at least {max(folds, 2)} slides of different donors with rna, found "
            f"{len(np.unique(donors[rows]))}; check that file names are the sample ids of rna"
        )
    splits = GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=donors[rows])
    parts = [(rows[learned], rows[test]) for learned, test in splits]
    if not known.all():
        parts.append((rows, np.flatnonzero(~known)))
    fitted = _networks if method == "mlp" else _ridges
    settings = (config or tiles.Config(), hyper or tiles.Hyper(), train, seed)
    out = fitted(slides.bags, y, parts, settings)
    return pd.DataFrame(out, slides.samples, rna.columns)


def imputation_scores(rna: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return Spearman correlations of measured and predicted profiles of the common samples.

    Returns:
      `gene`: [genes], over samples; `sample`: [samples], over genes; the paper's two views.
      `gene_mean` and `sample_mean`: their means, as arrays of no axis.
    """
    samples = rna.index.intersection(predicted.index)
    x, y = rna.loc[samples].to_numpy(), predicted.loc[samples, rna.columns].to_numpy()
    by = {"gene": spearman(x, y, 0, min_pairs=3), "sample": spearman(x, y, 1, min_pairs=3)}
    return by | {f"{name}_mean": np.asarray(defined_mean(r, 0)) for name, r in by.items()}


def _networks(
    bags: np.ndarray,
    y: np.ndarray,
    parts: list,
    settings: tuple[tiles.Config, tiles.Hyper, Train, int],
) -> np.ndarray:
    """Return predictions of the test rows of all parts, whose networks train as one program."""
    config, hyper, train, seed = settings
    use_compilation_cache()
    slides, count, width = bags.shape
    config = tiles.Config(("tiles",), ("rna",), width, config.hidden, config.per_tile)
    spec = DataSpec((ViewSpec("tiles", count * width), ViewSpec("rna", y.shape[1])))
    model = tiles.build(config, spec)
    data = make_data({"tiles": bags.reshape(slides, -1), "rna": y})
    none = jnp.zeros((slides, 0))
    units = [_units(bags[rows], y[rows], count) for rows, _ in parts]
    empty = np.arange(0)
    splits = padded([Split(rows, len(rows), empty, 0) for rows, _ in parts])
    jobs = [
        Job(standard, none, split, hyper, seed + number)
        for number, (standard, split) in enumerate(zip(units, splits, strict=True))
    ]
    out = np.full(y.shape, np.nan)
    for result, standard, (_, test) in zip(
        train_jobs(model, data, jobs, train), units, parts, strict=True
    ):
        member = Member(result.params, result.collections)
        held_out = make_data({"tiles": bags[test].reshape(len(test), -1), "rna": y[test]})
        made = complete(model, [member], held_out, standard)["rna"]
        out[test] = made * np.asarray(standard.scale["rna"]) + np.asarray(standard.mean["rna"])
    return out


def _units(bags: np.ndarray, y: np.ndarray, count: int) -> Standard:
    """Return means and deviations of tile embeddings, over all tiles, and of genes."""
    width = bags.shape[2]
    every = bags.reshape(-1, width)
    sides = {"tiles": (every, count), "rna": (y, 1)}
    mean, scale = {}, {}
    for name, (table, times) in sides.items():
        spread = np.nanstd(table, axis=0, dtype=np.float64)
        unit = np.where(spread > 1e-9, spread, 1.0)
        centre = np.nanmean(table, axis=0, dtype=np.float64)
        mean[name] = jnp.asarray(np.tile(centre, times), jnp.float32)
        scale[name] = jnp.asarray(np.tile(unit, times), jnp.float32)
    return Standard(mean, scale)


def _ridges(bags: np.ndarray, y: np.ndarray, parts: list, settings: tuple) -> np.ndarray:
    """Return predictions of the test rows of all parts by ridge regression on average tiles."""
    means = np.asarray(np.nanmean(bags, axis=1, dtype=np.float64))
    out = np.full(y.shape, np.nan)
    for rows, test in parts:
        spread = means[rows].std(axis=0)
        x = (means - means[rows].mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
        out[test] = RidgeCV(PENALTIES).fit(x[rows], y[rows]).predict(x[test])
    return out


def _read(path: Path) -> np.ndarray:
    """Return the array [tiles, width] of a file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if path.suffix == ".npz":
            names = list(loaded)
            name = "tiles" if "tiles" in names else names[0] if len(names) == 1 else ""
            loaded = loaded[name]
        array = np.asarray(loaded, np.float32)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{path}: expected one array of tiles, or one named `tiles`, found none ({error})"
        ) from None
    if array.ndim != 2 or not len(array) or not np.isfinite(array).all():
        raise InputError(
            f"{path}: expected finite numbers [tiles, width], found shape {array.shape} or cells "
            "that are not finite; write one row per tile"
        )
    return array
