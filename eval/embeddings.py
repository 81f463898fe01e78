"""Compare embeddings of the same samples: scores by fold, a summary, and one figure.

    python eval/embeddings.py --tables vae=vae.parquet mofa=mofa.csv --labels labels.csv \\
        --label cohort --time os_time --event os_event --group donor --clinical age sex \\
        --features rna.parquet --rebuilt vae=rebuilt.parquet --train vae=train.parquet --out scores

Every table (samples x dimensions, of any tool) is scored as `jaxomics evaluate embedding` does, on
the samples that all tables have, with one number of Grassmann components for all, and principal
components of `--features` beside. With `--train NAME=TABLE`, the embedding of the samples that the
method was trained on, classifiers trained on these are also scored on the samples of the table
(mode `transfer`). Leaves `scores.parquet`, `summary.parquet` and `benchmarks.png`. A minute per
table of 500 samples x 512 dimensions on 2 cores with `--quick`, ten without.
docs/evaluation.md says what the scores mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from jaxomics.commands.embedding import (
    Asked,
    Known,
    Sources,
    differences,
    read_known,
    read_numbers,
    write_benchmarks,
)
from jaxomics.commands.notes import tell
from jaxomics.data.io import write_table
from jaxomics.errors import InputError
from jaxomics.metrics.cohort_accuracy import CLASSIFIERS, agreement, available, classify
from jaxomics.metrics.embedding import evaluate_embedding
from jaxomics.metrics.grassmann import usable_components
from jaxomics.metrics.summary import summarise
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows


@dataclass(frozen=True)
class Options:
    """What to compare.

    Attributes:
      tables: embeddings as NAME=FILE.
      labels: sample table.
      label: its column with the classes.
      out: folder of the results.
      train: embeddings of the training samples as NAME=FILE.
      rebuilt: reconstructions of `features` as NAME=FILE.
      features: measured table of the same samples.
      group, time, event, clinical: columns; see `jaxomics evaluate embedding --help`.
      cohort: class whose reconstructions are tested; by default the largest.
      quick: small trees, few starts of k-means.
      dataset: name of the data in the tables.
      seed: of folds, trees, permutations and k-means.
    """

    tables: tuple[str, ...]
    labels: Path
    label: str
    out: Path
    train: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    features: Path | None = None
    group: str | None = None
    time: str | None = None
    event: str | None = None
    clinical: tuple[str, ...] = ()
    cohort: str | None = None
    quick: bool = False
    dataset: str = ""
    seed: int = 0


def main(options: Options) -> None:
    """Score, write and print the summary."""
    asked = Asked(options.label, options.group, options.time, options.event, options.clinical)
    known = read_known(options.labels, asked)
    tables = shared({name: read_numbers(path) for name, path in named(options.tables).items()})
    scores = join(list(scored(tables, known, options)), SCORE_COLUMNS)
    write_table(scores, options.out / "scores.parquet", overwrite=True)
    summary = summarise(scores)
    write_table(summary, options.out / "summary.parquet", overwrite=True)
    write_benchmarks(scores, options.out / "benchmarks.png")
    print(summary.drop(columns=["dataset", "seed", "view"]).round(3).to_string(index=False))


def named(texts: tuple[str, ...]) -> dict[str, Path]:
    """Return paths by name from NAME=FILE.

    Raises:
      InputError: a text without a name, or a name that stands there twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not (name and sign and path) or name in found:
            raise InputError(f"expected NAME=FILE with a name of its own, found {text!r}")
        found[name] = Path(path)
    return found


def shared(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return tables of the samples that all have, in the order of the first.

    Raises:
      InputError: no table, or no sample that all have.
    """
    if not tables:
        raise InputError("expected --tables NAME=FILE ..., found none; name an embedding")
    samples = next(iter(tables.values())).index
    for table in tables.values():
        samples = samples[samples.isin(table.index)]
    if not len(samples):
        raise InputError("expected samples that all tables have, found none; check their ids")
    return {name: table.loc[samples] for name, table in tables.items()}


def scored(
    tables: dict[str, pd.DataFrame], known: Known, options: Options
) -> Iterator[pd.DataFrame]:
    """Yield the score rows of every embedding; what stands beside all of them comes once."""
    measured = None if options.features is None else read_numbers(options.features)
    first = next(iter(tables))
    samples, classes = len(tables[first]), known.classes.loc[tables[first].index].nunique()
    dimensions = min(table.shape[1] for table in tables.values())
    rank = usable_components(samples, classes - 1, dimensions)
    rebuilt, train = named(options.rebuilt), named(options.train)
    beside = {"pca", "clinical", *(f"pca:{name}" for name in CLASSIFIERS)}
    for name, latent in tables.items():
        about = {"dataset": options.dataset, "model": name, "seed": options.seed}
        found = evaluate_embedding(
            latent, known.classes, options.dataset, name, known.groups, options.seed,
            measured if name == first else None, survival=known.survival,
            clinical=known.clinical, components=rank, quick=options.quick,
        )  # fmt: skip
        tell(f"{name}: {note}" for note in found.attrs.pop("notes", []))
        plain = found["model"].isin(CLASSIFIERS)
        found.loc[plain, "model"] = f"{name}:" + found.loc[plain, "model"].astype(str)
        yield found if name == first else pd.DataFrame(found[~found["model"].isin(beside)])
        if name in train:
            yield transfer(read_numbers(train[name]), latent, known.classes, options, about)
        if name in rebuilt:
            sources = Sources(measured, read_numbers(rebuilt[name]))
            rows, told = differences(latent, known.classes, sources, options.cohort, False, about)
            tell(f"{name}: {note}" for note in told)
            yield rows if name == next(iter(rebuilt)) else pd.DataFrame(rows[rows["model"] == name])


def transfer(
    train: pd.DataFrame, test: pd.DataFrame, classes: pd.Series, options: Options, about: dict
) -> pd.DataFrame:
    """Return scores of classifiers trained on one embedding table and tested on another.

    Raises:
      InputError: samples that stand in both, or other dimensions.
    """
    both = train.index.intersection(test.index)
    if len(both) or list(train.columns) != list(test.columns):
        raise InputError(
            "expected training and hold-out tables of different samples and the same dimensions, "
            f"found {len(both)} samples in both and {train.shape[1]} and {test.shape[1]} dimensions"
        )
    sides = []
    for table in (train, test):
        own = classes.reindex(table.index)
        kept = own.notna()
        sides.append((table[kept].to_numpy(np.float64), own[kept].astype(str).to_numpy()))
    (x, y), (new, truth) = sides
    spread = x.std(axis=0)
    unit = np.where(spread > 1e-12, spread, 1.0)
    x, new = (x - x.mean(axis=0)) / unit, (new - x.mean(axis=0)) / unit
    rows = []
    for name in available():
        said = classify(name, x, y, new, quick=options.quick, seed=options.seed)
        own = {**about, "model": f"{about['model']}:{name}", "mode": "transfer", "view": "latent"}
        rows.append(score_rows(agreement(truth, said), **own))
    return join(rows, SCORE_COLUMNS)


if __name__ == "__main__":
    main(tyro.cli(Options))
