"""Optuna by ask and tell: a group of trials is drawn, trained as one program, and told.

Trials of a group share all static settings (fields of `Config` and `Train`), which decide the
program; those of `Hyper` differ. Several processes may share one study through its storage: trial
numbers are given out once, trials of processes that died are set aside, and drawing ends when as
many trials as wanted are finished.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from jaxomics.config import Choice, Float, Range, Space
from jaxomics.errors import InputError
from jaxomics.search.group import RUNGS, Outcome
from jaxomics.search.sampler import Sampler
from jaxomics.search.space import label
from jaxomics.search.storage import GRACE_SECONDS, close_storage, open_storage, reaching

STARTUP = 10
"""Least number of random trials before the sampler learns from them."""
COMPARED = 5
"""Complete trials before any is pruned."""
WARMUP = 3
"""Comparisons that are left out at the beginning of a trial, when schedules still warm up."""
IDENTITY = "identity"
"""Attribute of a study: what all its processes agree on."""
VOID = "void:"
"""Attributes of a study that name trials which do not count, and why: lost with their process,
interrupted, or drawn beyond the number wanted."""
ASKED, TOLD = "asked", "told"
"""Attributes of a trial: its process and the first trial of its group; epochs, seconds, note."""
PATIENCE_SECONDS = 10.0
"""How long the one who makes a study may take to write its identity."""


class Counts(NamedTuple):
    """How far a study is: trials that are finished, and that some process is working on."""

    finished: int
    running: int


class Group(NamedTuple):
    """Trials that train together, and the settings drawn for each, by field."""

    trials: list[Trial]
    values: list[dict[str, Any]]


class Search:
    """One study: what is drawn next, and what came out.

    Use it as a context manager where the storage may be a database: leaving closes it.

    Attributes:
      study: Optuna's.
      space: what is drawn from.
    """

    def __init__(
        self,
        storage: str | Path | None,
        name: str,
        space: Space,
        static: Sequence[str],
        *,
        identity: dict[str, Any],
        seed: int,
        epochs: int,
        group_size: int = 8,
        prune: bool = True,
    ):
        """Open a study, or join it where it exists.

        Args:
          storage: journal file, database URL, or None for memory.
          name: of the study in its storage.
          space: ranges by field.
          static: fields that the trials of a group share.
          identity: what all processes must agree on, by name: data, settings, versions.
          seed: of the draws.
          epochs: of every trial, which decide when trials are compared.
          group_size: trials that train together.
          prune: stop trials whose best value so far is worse than the median of the others'.

        Raises:
          InputError: the storage cannot be reached, or the study differs in its identity.
        """
        # Random trials share static settings as well: fewer of those are seen than of trials.
        single = all(field not in space for field in static)
        startup = STARTUP if single else max(STARTUP, 3 * group_size)
        self._sampler, self._where = Sampler(seed, startup), storage
        self._static, self._size = tuple(static), group_size
        self.space = dict(space)
        self._distributions = {field: distribution(limits) for field, limits in space.items()}
        rung = max(1, epochs // RUNGS)
        pruner = (
            optuna.pruners.MedianPruner(COMPARED, n_warmup_steps=WARMUP * rung, interval_steps=rung)
            if prune
            else optuna.pruners.NopPruner()
        )
        optuna.logging.set_verbosity(logging.ERROR)
        self._storage = open_storage(storage)
        with reaching(storage):
            try:
                self.study = optuna.create_study(
                    storage=self._storage, sampler=self._sampler, pruner=pruner, study_name=name
                )
                self.study.set_user_attr(IDENTITY, identity)
            except DuplicatedStudyError:
                self.study = optuna.load_study(
                    study_name=name, storage=self._storage, sampler=self._sampler, pruner=pruner
                )
                self._agree(name, identity)

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        close_storage(self._storage)

    def _agree(self, name: str, identity: dict[str, Any]) -> None:
        """Raise if the study that is joined is about something else."""
        until = time.monotonic() + PATIENCE_SECONDS
        while IDENTITY not in self.study.user_attrs and time.monotonic() < until:
            time.sleep(0.2)
        found = self.study.user_attrs.get(IDENTITY, {})
        differing = [key for key in identity if found.get(key) != identity[key]]
        if differing:
            close_storage(self._storage)
            raise InputError(
                f"the study {name!r} in {self._where} was started with other "
                f"{' and '.join(differing)}; repeat its command, or choose another --study or "
                "--storage"
            )

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that count, in the order of their numbers."""
        with reaching(self._where):
            found, void = self.study.get_trials(deepcopy=False), self._void()
        return [trial for trial in found if trial.number not in void]

    def count(self) -> Counts:
        """Return how many trials are finished and running."""
        finished = [trial.state.is_finished() for trial in self.trials()]
        return Counts(sum(finished), len(finished) - sum(finished))

    def ask(self, wanted: int, process: str) -> Group:
        """Draw a group of trials, never so many that more than `wanted` would count.

        The first trial of the group decides the static settings of all. Another process may draw
        at the same time; of the trials drawn beyond `wanted`, which ones is decided by their
        numbers, so that both processes agree.

        Args:
          wanted: number of trials of the study.
          process: name of this process, noted with each trial.
        """
        counts = self.count()
        size = min(self._size, wanted - counts.finished - counts.running)
        drawn: list[Trial] = []
        with reaching(self._where):
            self._sampler.fixed = {}
            for _ in range(size):
                trial = self.study.ask(self._distributions)
                drawn.append(trial)
                trial.set_user_attr(ASKED, {"process": process, "group": drawn[0].number})
                self._sampler.fixed = {
                    field: drawn[0].params[field] for field in self._static if field in self.space
                }
            kept = [trial for trial in drawn if self._keep(trial, wanted)]
        return Group(kept, [self.values(trial.params) for trial in kept])

    def _keep(self, trial: Trial, wanted: int) -> bool:
        """Tell whether a trial just drawn counts; set it aside otherwise.

        It does not if it is one too many, or if it has static settings of its own because someone
        queued it in the study.
        """
        before = trial.number - sum(number < trial.number for number in self._void())
        fixed = self._sampler.fixed
        alike = all(trial.params[field] == value for field, value in fixed.items())
        if before < wanted and alike:
            return True
        self._set_aside(trial.number, "surplus" if alike else "foreign")
        return False

    def prune(self, group: Group) -> Callable[[int, int, float], bool]:
        """Return what reports the values of a group's trials and tells which should stop."""

        def judge(replica: int, epoch: int, value: float) -> bool:
            with reaching(self._where):
                try:
                    group.trials[replica].report(value, epoch)
                except UpdateFinishedTrialError:  # set aside: this process stood still too long
                    return True
                return bool(group.trials[replica].should_prune())

        return judge

    def tell(
        self,
        group: Group,
        outcomes: Sequence[Outcome],
        *,
        best: bool = False,
        seconds: float = 0.0,
    ) -> None:
        """Tell what became of the trials of a group.

        A trial that was set aside in the meantime, because its process stood still, stays so. One
        that diverged is told as pruned, with a note, so that the sampler avoids its settings:
        Optuna's samplers do not look at failed trials.

        Args:
          group: as asked.
          outcomes: one per trial.
          best: the objective is the best value of a trial rather than its last.
          seconds: how long the group took.
        """
        with reaching(self._where):
            for trial, outcome in zip(group.trials, outcomes, strict=True):
                complete = outcome.state == "complete"
                value = outcome.value(best=best) if complete else None
                state = TrialState.COMPLETE if complete else TrialState.PRUNED
                told = {"epochs": len(outcome.values), "seconds": seconds / len(outcomes)}
                try:
                    trial.set_user_attr(TOLD, told | {"note": outcome.note})
                except UpdateFinishedTrialError:
                    continue
                self.study.tell(trial, value, state=state, skip_if_finished=True)

    def abandon(self, group: Group) -> None:
        """Set the trials of a group aside: they were not trained to their end."""
        with reaching(self._where):
            for trial in group.trials:
                self._set_aside(trial.number, "interrupted")

    def set_aside_lost(self, dead: set[str]) -> int:
        """Set aside what processes that died were working on; return how many trials that is."""
        open_now = [trial for trial in self.trials() if not trial.state.is_finished()]
        lost = [trial for trial in open_now if _is_lost(trial, dead)]
        with reaching(self._where):
            for trial in lost:
                self._set_aside(trial.number, "lost")
        return len(lost)

    def best(self) -> FrozenTrial:
        """Return the best of the trials that went to their end.

        Raises:
          InputError: there is none.
        """
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        if not complete:
            notes = [trial.user_attrs.get(TOLD, {}).get("note") for trial in self.trials()]
            why = f"the last diverged with {notes[-1]}" if any(notes) else "none was finished"
            raise InputError(
                f"expected a trial with finite training, found none: {why}; search smaller "
                "learning rates, or look for extreme values with `jaxomics inspect`"
            )
        return min(complete, key=lambda trial: (float(trial.value or 0.0), trial.number))

    def values(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the settings that the parameters of a trial stand for, by field."""
        return {field: _decode(self.space[field], params[field]) for field in self.space}

    def _void(self) -> set[int]:
        """Return the numbers of the trials that do not count: set aside, or failed by others."""
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        told = self.study.user_attrs
        named = {int(key.removeprefix(VOID)) for key in told if key.startswith(VOID)}
        return named.union(trial.number for trial in failed)

    def _set_aside(self, number: int, why: str) -> None:
        """Mark a trial as one that does not count."""
        self.study.set_user_attr(f"{VOID}{number}", why)
        self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def distribution(limits: Range) -> BaseDistribution:
    """Return Optuna's form of a range.

    >>> distribution(Float(1e-4, 1e-2, log=True))
    FloatDistribution(high=0.01, log=True, low=0.0001, step=None)
    """
    if isinstance(limits, Choice):
        return CategoricalDistribution([_encode(value) for value in limits.values])
    kind = FloatDistribution if isinstance(limits, Float) else IntDistribution
    return kind(limits.low, limits.high, log=limits.log)  # pyright: ignore[reportArgumentType]


def _encode(value: Any) -> Any:
    """Return a value as storages can hold it: layers as text."""
    return label(value) if isinstance(value, tuple) else value


def _decode(limits: Range, param: Any) -> Any:
    """Return the value of a range that a stored parameter stands for."""
    if isinstance(limits, Choice):
        return next(value for value in limits.values if _encode(value) == param)
    return param


def _is_lost(trial: FrozenTrial, dead: set[str]) -> bool:
    """Tell whether the process of a running trial is dead, or died before it left its name."""
    process, begun = trial.user_attrs.get(ASKED, {}).get("process"), trial.datetime_start
    if process is None and begun is not None:
        return (datetime.now() - begun).total_seconds() > GRACE_SECONDS
    return process in dead
