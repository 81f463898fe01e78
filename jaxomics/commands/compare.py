"""`train` of a comparator, and the options that `train` and `cv` have for one.

A comparator is fitted in one go, so there is nothing to resume, to stream or to divide among
machines; `--resume` starts an interrupted fit anew, and leaves a finished one alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
from tyro.conf import arg

from jaxomics.commands.choose import Model, check_names, check_ranges
from jaxomics.commands.notes import left_out, tell
from jaxomics.commands.options import Flag, option
from jaxomics.commands.train import (
    CONFIG,
    clear_run,
    dropped_table,
    is_finished,
    provenance,
    refuse_early,
    views_table,
    write_report,
)
from jaxomics.comparator import Comparator
from jaxomics.comparators.base import Method
from jaxomics.comparators.registry import get
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.errors import InputError
from jaxomics.presets import Settings
from jaxomics.presets.comparators import (
    ComparatorSettings,
    Filters,
    comparator_preset,
    quick_comparator,
)
from jaxomics.runfolder import describe_run, same_run, start_run


class ComparatorChoice(NamedTuple):
    """What the words say before the parser has read them.

    Attributes:
      entry: the comparator.
      settings: its defaults.
      options: the type of the options about settings, seed and views.
    """

    entry: Method
    settings: ComparatorSettings
    options: type[Any]


def choose_comparator(words: Sequence[str]) -> ComparatorChoice:
    """Return the comparator that the first word names, its defaults and its options.

    Raises:
      InputError: an unknown comparator or preset.

    >>> choose_comparator(["mofa", "--preset", "paper"]).settings.config.convergence
    'slow'
    """
    method = get(words[0])
    settings = comparator_preset(method, option(words, "preset", "recommended"))
    settings = quick_comparator(settings) if "--quick" in words else settings
    return ComparatorChoice(method, settings, _options(method, settings))


def _options(method: Method, defaults: ComparatorSettings) -> type[Any]:
    """Return the type of a comparator's options, with these defaults."""

    @dataclass(frozen=True)
    class Options:
        """Options about what to fit.

        Attributes:
          preset: named settings, the defaults of all others: recommended, paper.
          seed: everything random follows from it.
          quick: small sizes, for a first look.
          views: fit to these views only.
          conditionals: label columns and whole views that stand beside the views as one more.
          label: column of classes; auto takes a usual one, None goes without.
          linked: views of one assay, separated by commas, that cv withholds together.
          config: sizes and penalties of the method.
          preprocess: filters; the method scales features by itself.
        """

        preset: str = "recommended"
        seed: int = 0
        quick: Flag = False
        views: tuple[str, ...] | None = None
        conditionals: tuple[str, ...] | None = defaults.conditionals.columns
        label: str | None = defaults.label
        linked: tuple[str, ...] = defaults.linked
        config: Annotated[type(method.config), arg(name="")] = defaults.config  # pyright: ignore
        preprocess: Filters = defaults.preprocess

        def settings(self) -> ComparatorSettings:
            """Return the settings that the options make."""
            conditionals = replace(defaults.conditionals, columns=self.conditionals)
            return ComparatorSettings(
                self.config, self.preprocess, conditionals, self.label, self.linked
            )

    return Options


def comparator_settings(
    model: str, settings: Settings | ComparatorSettings | str
) -> ComparatorSettings:
    """Return the settings of a comparator: those given, or a preset's.

    Raises:
      InputError: an unknown preset, or settings of a model.
    """
    if isinstance(settings, str):
        return comparator_preset(get(model), settings)
    if not isinstance(settings, ComparatorSettings):
        raise InputError(
            f"expected ComparatorSettings for {model}, found {type(settings).__name__}"
        )
    return settings


def train_comparator(
    model: str,
    data: str | Path,
    out: str | Path,
    *,
    settings: Settings | ComparatorSettings | str = "recommended",
    seed: int = 0,
    views: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    csv: bool = False,
    quiet: bool = True,
) -> Comparator | None:
    """Fit a comparator to a cohort and write a run folder; arguments as for `train`.

    Returns:
      The fitted comparator; None where `resume` met a finished run.

    Raises:
      InputError: unfit data or settings, or a folder that must not be touched.
    """
    settings = comparator_settings(model, settings)
    check_ranges(settings, seed)
    data, out = Path(data), Path(out)
    refuse_early(out, resume=resume, overwrite=overwrite)
    cohort = read_cohort(data, views=views)
    comparator = Comparator(model, settings, seed=seed)
    record = describe_run(comparator, cohort, data)
    if resume and (out / CONFIG).exists():
        same_run(out, record)
        if is_finished(out):
            tell([f"{out} is finished: nothing to do"], quiet=quiet)
            return None
    check_names(settings, cohort)
    clear_run(out, data)
    start_run(out, record)
    try:
        comparator.fit(cohort)
    except InputError:
        clear_run(out)
        raise
    comparator.save(out)
    tell([*comparator.notes_, *left_out(dropped_table(comparator, cohort))], quiet=quiet)
    _write_tables(out, comparator, cohort, csv=csv)
    write_report(out, comparator, cohort)
    return comparator


def _write_tables(out: Path, comparator: Comparator, cohort: MultiOmics, csv: bool) -> None:
    """Write `tables/` of a run: latent, views, dropped, timing, weights, and the method's own."""
    embeds = "embed" in comparator.entry.verbs
    seconds = pd.Series(comparator.seconds_, name="seconds").rename_axis("stage")
    tables = {
        **({"latent": comparator.transform().reset_index()} if embeds else {}),
        "views": views_table(comparator, cohort),
        "dropped": dropped_table(comparator, cohort),
        "timing": seconds.reset_index(),
        **comparator.tables(),
    }
    about = provenance(comparator, cohort)
    for name, table in tables.items():
        write_table(table, out / "tables" / f"{name}.parquet", about, csv=csv, overwrite=True)


def train_command(words: Sequence[str]) -> tuple[Callable[..., Any], str]:
    """Return `train` with the options of the comparator that the words name."""
    choice = choose_comparator(words)

    def train_named(
        model: Model,
        *,
        data: Path,
        out: Path,
        options: Annotated[choice.options, arg(name="")],  # pyright: ignore
        resume: Flag = False,
        overwrite: Flag = False,
        csv: Flag = False,
        quiet: Flag = False,
    ) -> str:
        """Fit a comparator to a cohort and write a run folder with its report.

        Args:
          model: what to fit; `jaxomics models` lists them.
          data: folder with one table per view, or an .h5mu or .h5ad file.
          out: run folder to write.
          options: what to fit.
          resume: leave a finished run alone, start an interrupted one anew.
          overwrite: replace an existing run folder.
          csv: also write tables as CSV.
          quiet: print no notes.
        """
        train_comparator(
            model, data, out, settings=options.settings(), seed=options.seed, views=options.views,
            resume=resume, overwrite=overwrite, csv=csv, quiet=quiet,
        )  # fmt: skip
        return str(out / "report.html")

    return train_named, f"jaxomics train {choice.entry.name}"
