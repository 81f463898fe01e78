"""`slides`: bulk profiles from the embedded tiles of whole-slide images."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import pandas as pd
from tyro.conf import Positional, arg

from jaxomics.commands.embedding import read_numbers
from jaxomics.commands.options import Flag
from jaxomics.commands.outputs import refuse_file
from jaxomics.data.io import read_indexed, write_table
from jaxomics.errors import InputError, unknown
from jaxomics.metrics.tables import score_rows
from jaxomics.models.tiles import Config
from jaxomics.slides import TILES, TRAIN, imputation_scores, impute_slides, read_slides

Folder: TypeAlias = Positional[Annotated[Path, arg(metavar="DIR")]]


def slides(
    folder: Folder,
    *,
    rna: Path,
    out: Path,
    method: Literal["mlp", "ridge"] = "mlp",
    labels: Path | None = None,
    group: str | None = None,
    folds: int = 5,
    tiles: int = TILES,
    hidden: tuple[int, ...] = (512,),
    per_tile: Flag = False,
    epochs: int = TRAIN.epochs,
    seed: int = 0,
    scores: Path | None = None,
    csv: Flag = False,
    overwrite: Flag = False,
) -> pd.DataFrame:
    """Predict the bulk RNA of slides from their tile embeddings.

    Args:
      folder: one SAMPLE.npz or SAMPLE.npy per slide, tiles x width, of any pathology encoder.
      rna: measured profiles of some of the samples; first column or index = sample id.
      out: table to write, slides x genes: what `train rna-vae` reads as a view.
      method: a network on the tiles, or ridge regression on the average tile.
      labels: sample table, for `group`.
      group: its column of donors, whose slides stand in one fold; by default each is its own.
      folds: slides with RNA are predicted by models that have not seen them.
      tiles: most tiles per slide; of more, so many are drawn.
      hidden: units of the network's hidden layers.
      per_tile: take the loss of every tile instead of that of the average.
      epochs: of the network.
      seed: of everything random.
      scores: also write the mean Spearman correlations to this table.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.

    Returns:
      Mean Spearman correlations, over samples by gene and over genes by sample.
    """
    for path in (out, scores):
        refuse_file(path, overwrite)
    if group is not None and labels is None:
        raise InputError("expected --labels with --group, found none; name the sample table")
    donors = None
    if group is not None and labels is not None:
        table = read_indexed(labels)
        if group not in table:
            raise unknown("label column", group, table.columns)
        donors = pd.Series(table[group])
    measured = read_numbers(rna)
    predicted = impute_slides(
        read_slides(folder, tiles, seed), measured, method,
        folds=folds, group=donors, config=Config(hidden=hidden, per_tile=per_tile),
        train=replace(TRAIN, epochs=epochs), seed=seed,
    )  # fmt: skip
    found = imputation_scores(measured, predicted)
    means = {f"spearman_by_{name}": float(found[f"{name}_mean"]) for name in ("gene", "sample")}
    rows = score_rows(means, model=method, seed=seed, mode="cross_fitted", view="rna")
    write_table(predicted.rename_axis("sample").reset_index(), out, csv=csv, overwrite=overwrite)
    if scores is not None:
        write_table(rows, scores, csv=csv, overwrite=overwrite)
    return pd.DataFrame(rows[["model", "metric", "value"]])
