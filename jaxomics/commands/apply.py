"""`embed`, `impute`, `translate`, `predict`: what a run says of its own or of new samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from jaxomics.commands.notes import (
    agreement,
    left_out,
    tell,
    unknown_conditionals,
    unmatched,
    unseen_levels,
    without_views,
)
from jaxomics.commands.options import Flag, Run
from jaxomics.commands.outputs import refuse_file, refuse_folder
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.errors import InputError, unknown

if TYPE_CHECKING:
    from jaxomics.estimator import Estimator
    from jaxomics.runfolder import Fitted


def embed(
    run: Run,
    *,
    out: Path,
    data: Path | None = None,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Write the latent mean of each sample: columns sample, z0, z1, ...

    New samples may have any subset of the model's views and features.

    Args:
      run: run folder of a trained model.
      out: table to write, .parquet or .csv.
      data: samples to embed; the training data by default.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The table's path.
    """
    refuse_file(out, overwrite)
    estimator, cohort, about = load(run, data, quiet, "embed")
    table = estimator.transform(cohort).reset_index()
    write_table(table, out, about, csv=csv, overwrite=overwrite)
    return out


def impute(
    run: Run,
    *,
    out: Path,
    data: Path | None = None,
    full: Flag = False,
    round: Flag = False,
    draws: int = 0,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Fill what is missing, in original units; measured values stay bit for bit.

    Writes VIEW.parquet for each view, all samples x all modelled features, and
    measured_VIEW.parquet, true where a value was measured.

    Args:
      run: run folder of a trained model.
      out: folder to write.
      data: samples to complete; the training data by default.
      full: the model's reconstruction everywhere, also of measured values.
      round: round the filled values of views of whole numbers.
      draws: also write uncertainty/VIEW.parquet, standard deviations from so many draws.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The folder.
    """
    if draws < 0 or draws == 1:
        raise InputError(f"expected --draws 0, or 2 and more, found {draws}; 20 is a good choice")
    refuse_folder(out, overwrite)
    estimator, cohort, about = load(run, data, quiet, "impute")
    completed = estimator.impute(cohort, full=full, discrete=round)
    measured = {f"measured_{name}": table for name, table in _measured(completed, cohort).items()}
    written = {**completed, **measured}
    if draws:
        deviations = estimator.uncertainty(cohort, draws=draws)
        written |= {f"uncertainty/{name}": table for name, table in deviations.items()}
    for name, table in written.items():
        write_table(table, out / f"{name}.parquet", about, csv=csv, overwrite=overwrite)
    return out


def translate(
    run: Run,
    *,
    source: tuple[str, ...],
    target: str,
    out: Path,
    data: Path | None = None,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Predict one view from others, for all samples that have one of these.

    Args:
      run: run folder of a trained model.
      source: views to read; all others are withheld.
      target: view to predict, in original units.
      out: table to write, .parquet or .csv.
      data: samples; the training data by default.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The table's path.
    """
    refuse_file(out, overwrite)
    if target in source:
        raise InputError(f"expected a target that is no source, found {target!r} as both")
    estimator, cohort, about = load(run, data, quiet, "translate", written=(target,))
    for name in (*source, target):
        if name not in estimator.preprocess_.views:
            raise unknown("view of this model", name, estimator.preprocess_.views)
    table = estimator.translate(cohort, source=source, target=target)
    write_table(table, out, about, csv=csv, overwrite=overwrite)
    return out


def predict(
    run: Run,
    *,
    out: Path,
    data: Path | None = None,
    sample: Flag = False,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Write the class of each sample and its probabilities, or other outcomes that are predicted.

    Columns sample, view, class, p_CLASS. One row per sample and view where the model predicts
    from single views; samples may have any subset of the views, and need no labels. Where there
    are labels, a note tells how many agree.

    Args:
      run: run folder of a trained model.
      out: table to write, .parquet or .csv.
      data: samples; the training data by default.
      sample: draw the latent instead of taking its mean.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The table's path.
    """
    refuse_file(out, overwrite)
    estimator, cohort, about = load(run, data, quiet, "predict")
    table = estimator.predict(cohort, sample=sample)
    seen = " (the run was trained on these samples)" if data is None else ""
    tell([f"{line}{seen}" for line in agreement(table, cohort, estimator.label_)], quiet=quiet)
    silent = int((~cohort.samples.isin(table["sample"])).sum())
    if silent:
        line = f"{silent} of {len(cohort.samples)} samples have no value that the model reads"
        tell([f"{line}, and no row in the table"], quiet=quiet)
    write_table(table, out, about, csv=csv, overwrite=overwrite)
    return out


def load(
    run: Path, data: Path | None, quiet: bool, verb: str, *, written: Sequence[str] = ()
) -> tuple["Fitted", MultiOmics, dict[str, Any]]:
    """Return what a run holds, the samples to work on, and the provenance of results.

    Args:
      run: run folder.
      data: new samples; the training data by default.
      quiet: print no notes.
      verb: what is to be done.
      written: views that new samples need not have, since they are what is asked for.

    Raises:
      InputError: no finished run, one that lacks the verb, or unfit samples.
    """
    from jaxomics.commands.train import provenance
    from jaxomics.methods import check_verb
    from jaxomics.runfolder import load_run, read_config, training_data

    check_verb(str(read_config(run).get("model")), verb)
    new = None if data is None else read_cohort(data, min_samples=1)
    estimator = load_run(run)
    cohort = training_data(run) if new is None else new
    if new is not None:
        found = estimator.preprocess_.match(cohort)
        found = found[~found["view"].isin(list(written))]
        lost = estimator.conditionals_.match(cohort)
        strange = unseen_levels(estimator.preprocess_.unseen(cohort))
        blank = left_out(cohort.dropped[cohort.dropped["item"] == "sample"])
        blank += without_views(cohort, estimator.preprocess_.views)
        notes = [*unmatched(found), *blank, *unknown_conditionals(lost), *strange]
        tell(notes, quiet=quiet)
    return estimator, cohort, provenance(estimator, cohort)


def load_estimator(
    run: Path, data: Path | None, quiet: bool, verb: str
) -> tuple["Estimator", MultiOmics, dict[str, Any]]:
    """Return what `load` does, for verbs that comparators lack."""
    from jaxomics.estimator import Estimator

    estimator, cohort, about = load(run, data, quiet, verb)
    assert isinstance(estimator, Estimator), f"a comparator has {verb}"
    return estimator, cohort, about


def _measured(completed: Mapping[str, pd.DataFrame], cohort: MultiOmics) -> dict[str, pd.DataFrame]:
    """Return bool tables shaped like the completed ones: True where the cohort has a value."""
    masks = {}
    for name, table in completed.items():
        known = cohort.views.get(name, pd.DataFrame(index=table.index[:0]))
        masks[name] = known.notna().reindex(
            index=table.index, columns=table.columns, fill_value=False
        )
    return masks
