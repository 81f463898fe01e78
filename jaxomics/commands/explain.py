"""`explain`: what the outputs of a trained model owe to each input."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jaxomics.commands.apply import load_estimator
from jaxomics.commands.notes import tell
from jaxomics.commands.options import Flag, Run
from jaxomics.commands.outputs import refuse_folder
from jaxomics.data.atomic import whole_file
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_metadata, write_table
from jaxomics.engine.devices import use_cores
from jaxomics.errors import InputError, unknown
from jaxomics.figures.attribution import (
    importance_bars,
    output_features,
    output_ranking,
    view_totals,
)
from jaxomics.figures.attribution_convergence import completeness_scatter
from jaxomics.figures.attribution_spread import (
    beeswarm,
    group_comparison,
    importance_heatmap,
    stability,
)
from jaxomics.figures.style import png

if TYPE_CHECKING:
    from jaxomics.estimator import Estimator
    from jaxomics.explain.explanation import Explanation
    from jaxomics.explain.run import How

HALFWAY = "halfway"
"""Folder in which an explanation keeps what is done until all is written."""
MOST_TOP_ROWS = 5_000_000
"""Most rows of `top.parquet`; beyond, fewer features are kept per output and view."""


def explain(
    run: Run,
    *,
    target: tuple[str, ...],
    out: Path,
    data: Path | None = None,
    method: Literal["expected", "integrated", "smooth", "gradient"] = "expected",
    draws: int = 256,
    plain: Flag = False,
    pairs: Flag = False,
    missing: Literal["auto", "zero", "absent"] = "auto",
    most_samples: int | None = None,
    feature: tuple[str, ...] = (),
    group: str | None = None,
    compare: tuple[str, str] | None = None,
    top: int = 200,
    memory: float = 4.0,
    double: Flag = False,
    seed: int = 42,
    csv: Flag = False,
    resume: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Tell which features drive the latent, a view, or one written feature.

    Writes importance, views, completeness and top (features per output) as tables, stability for
    an ensemble, effects for features that are named, and figures.

    Args:
      run: run folder of a trained model.
      target: latent, latent:K, view:VIEW, feature:VIEW/NAME, or several of them; several share
        one pass, and where latents are among them the first member of an ensemble is explained.
      out: folder to write.
      data: samples to explain; the training data by default.
      method: expected gradients from a background of all samples, integrated gradients from
        its mean, smooth gradients, or the gradient.
      draws: gradients per sample; nodes for integrated.
      plain: draw without variance reduction, as SHAP's GradientExplainer does.
      pairs: draw antithetic pairs: a smaller completeness gap, less exact values.
      missing: entries that were not measured are zeros (as published), or count for nothing;
        auto chooses by what the network is told.
      most_samples: explain so many samples, drawn at random; all by default.
      feature: VIEW/NAME; write and draw its effects on all outputs.
      group: label column of the two groups to compare.
      compare: the two values of that column.
      top: features kept per output and view.
      memory: GiB that the computation may take.
      double: compute in float64.
      seed: of all draws.
      csv: also write tables as CSV.
      resume: go on with an interrupted explanation; start where there is none.
      overwrite: replace existing files.
      quiet: print neither progress nor notes.

    Returns:
      The folder.
    """
    from jaxomics.explain.run import How
    from jaxomics.explain.run import explain as stream

    use_cores()
    _refuse(out, resume=resume, overwrite=overwrite)
    if top < 1:
        raise InputError(f"expected --top of 1 or more, found {top}")
    estimator, cohort, about = load_estimator(run, data, quiet, "explain")
    named = _named(estimator, feature)
    how = How(method, draws, plain, pairs, missing, memory=memory, double=double)
    about |= {
        "targets": list(target), "explain": vars(how), "explain_seed": seed, "group": group,
        "compare": compare, "most_samples": most_samples, "features": feature, "top": top,
    }  # fmt: skip
    chosen = _samples(cohort, group, compare, most_samples, seed)
    if resume and _is_finished(out, about):
        return out
    if overwrite:
        shutil.rmtree(out / HALFWAY, ignore_errors=True)
    found = [
        stream(
            estimator, cohort, target, how,
            samples=samples, seed=seed, quiet=quiet, halfway=out / HALFWAY / name,
        )
        for name, samples in zip(("first", "second"), chosen.values(), strict=False)
    ]  # fmt: skip
    whole, groups = _joined(found, list(chosen))
    tables = _tables(whole, named, top) | groups
    _write(out, whole, tables, about, csv=csv, overwrite=overwrite or resume)
    shutil.rmtree(out / HALFWAY)
    tell(_notes(whole, how), quiet=quiet)
    return out


def _joined(
    found: "list[Explanation]", names: list[str]
) -> "tuple[Explanation, dict[str, pd.DataFrame]]":
    """Return the explanation of all samples, and the table that compares two groups, if any."""
    from jaxomics.explain.explanation import compare

    if len(found) == 1:
        return found[0], {}
    first, second = found
    return first.joined(second), {"groups": compare(first, second, (names[0], names[1]))}


def _write(
    out: Path,
    whole: "Explanation",
    tables: dict[str, pd.DataFrame],
    about: dict[str, Any],
    *,
    csv: bool,
    overwrite: bool,
) -> None:
    """Write tables, with their provenance, and figures."""
    for name, table in tables.items():
        write_table(table, out / f"{name}.parquet", about, csv=csv, overwrite=overwrite)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(whole, tables):
        with whole_file(out / "figures" / f"{name}.png") as temporary:
            temporary.write_bytes(png(figure))


def _refuse(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise if an explanation must not be written to a folder.

    Raises:
      InputError: `resume` and `overwrite` together, or a folder with files and neither of them.
    """
    if resume and overwrite:
        raise InputError("expected --resume or --overwrite, found both; choose one")
    if (out / HALFWAY).is_dir() and not (resume or overwrite):
        raise InputError(
            f"{out} holds the beginning of an explanation; go on with --resume, start anew with "
            "--overwrite, or choose another folder"
        )
    refuse_folder(out, overwrite or (resume and _begun(out)))


def _begun(out: Path) -> bool:
    """Is a folder that of an explanation, finished or not?"""
    return (out / HALFWAY).is_dir() or (out / "importance.parquet").exists()


def _is_finished(out: Path, about: dict[str, Any]) -> bool:
    """Does a folder hold the whole of an explanation?

    Raises:
      InputError: it is the explanation of something else.
    """
    if (out / HALFWAY).is_dir() or not (out / "importance.parquet").exists():
        return False
    if read_metadata(out / "importance.parquet") != json.loads(json.dumps(about)):
        raise InputError(
            f"{out} holds an explanation that asked something else; choose another folder, or "
            "replace it with --overwrite"
        )
    return True


def _samples(
    cohort: MultiOmics,
    group: str | None,
    compare: tuple[str, str] | None,
    most: int | None,
    seed: int,
) -> dict[str, pd.Index]:
    """Return the samples to explain, by group.

    Raises:
      InputError: an unknown column or value, a group too small, or too few samples.
    """
    if (group is None) != (compare is None):
        raise InputError("expected --group COLUMN and --compare VALUE VALUE together, found one")
    groups = {"all": cohort.samples}
    if group is not None and compare is not None:
        if group not in cohort.labels.columns:
            raise unknown("label column", group, cohort.labels.columns)
        labels = cohort.labels[group].astype("string").reindex(cohort.samples)
        for value in compare:
            if value not in set(labels.dropna()):
                raise unknown(f"value of {group!r}", value, labels.dropna().unique())
        if compare[0] == compare[1]:
            raise InputError(f"expected two groups, found {compare[0]!r} twice")
        groups = {value: cohort.samples[(labels == value).fillna(False)] for value in compare}
    if most is None:
        return groups
    if most < 2:
        raise InputError(f"expected --most-samples of 2 or more, found {most}")
    rng = np.random.default_rng(seed)
    return {
        name: samples[np.sort(rng.permutation(len(samples))[:most])]
        for name, samples in groups.items()
    }


def _named(estimator: "Estimator", features: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return view and name of features, before hours are spent on explaining them.

    Raises:
      InputError: no view and name, or unknown ones.
    """
    from jaxomics.explain.work import read_features

    known = read_features(estimator)
    found = []
    for text in features:
        view, slash, name = text.partition("/")
        if not slash:
            raise InputError(f"expected a --feature VIEW/NAME, found {text!r}")
        if view not in known:
            raise unknown("view of this model", view, known)
        if name not in known[view]:
            raise unknown(f"feature of view {view!r}", name, known[view])
        found.append((view, name))
    return found


def _tables(
    found: "Explanation", features: list[tuple[str, str]], top: int
) -> dict[str, pd.DataFrame]:
    """Return the tables of an explanation by name."""
    views = len(found.features)
    kept = max(1, min(top, MOST_TOP_ROWS // max(found.outputs * views, 1)))
    tables = {
        "importance": found.importance(),
        "views": found.views(),
        "completeness": found.completeness(),
        "top": found.top(kept),
    }
    if found.members > 1:
        tables["stability"] = found.stability()
    if features:
        rows = [found.effects(view, name) for view, name in features]
        tables["effects"] = pd.concat(rows, ignore_index=True)
    return tables


def _figures(found: "Explanation", tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of an explanation with their names."""
    for target in found.targets:
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in target.text)
        rows = {
            key: _of(table, target.text) for key, table in tables.items() if key != "completeness"
        }
        if not rows["importance"]["mean_abs"].gt(0).any():
            continue
        yield f"{name}_features", importance_bars(rows["importance"])
        yield f"{name}_views", view_totals(rows["views"])
        if len(target.names) > 1:
            yield f"{name}_heatmap", importance_heatmap(rows["top"])
        else:
            yield f"{name}_ranked", output_features(rows["top"])
        if "stability" in rows:
            yield f"{name}_stability", stability(rows["stability"])
        if "groups" in rows:
            yield f"{name}_groups", group_comparison(rows["groups"])
        for (view, feature), effects in _by_feature(rows):
            label = "".join(c if c.isalnum() else "_" for c in f"{view}_{feature}")
            written = f"{target.view} outputs" if target.view else "latents"
            yield f"{name}_effects_{label}", output_ranking(effects, outputs=written)
    if found.outputs == 1 and found.importance()["mean_abs"].gt(0).any():
        yield "beeswarm", beeswarm(found.values(), found.data())
    if found.complete:
        yield "completeness", completeness_scatter(tables["completeness"])


def _of(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows of one target."""
    return pd.DataFrame(table[table["target"] == target])


def _by_feature(rows: dict[str, pd.DataFrame]) -> list[tuple[Any, pd.DataFrame]]:
    """Return the effects of each feature that was named; none where there is one output."""
    effects = rows.get("effects")
    if effects is None or effects["output"].nunique() < 2:
        return []
    return [(key, part) for key, part in effects.groupby(["view", "feature"], sort=False)]


def _notes(found: "Explanation", how: "How") -> list[str]:
    """Return what a reader should know of how good the numbers are."""
    outputs = "1 output" if found.outputs == 1 else f"{found.outputs} outputs"
    lines = [f"explained {outputs} for {len(found.samples)} samples"]
    if found.complete:
        lines.append(f"median completeness gap: {found.median_gap():.1%} of the output's change")
    if found.sampled:
        table = found.importance().groupby("target", sort=False).head(20)
        error = float((table["stderr"] / table["mean_abs"]).median())
        lines.append(f"sampling error of the top 20 features: {error:.1%} ({how.draws} draws)")
    return lines + found.notes()
