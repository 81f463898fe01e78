"""Run a search: draw a group, train it, tell, until enough trials are finished."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxomics.engine.state import Train
from jaxomics.models.base import Hyper
from jaxomics.search.group import Bench, Watch, train_group
from jaxomics.search.space import place
from jaxomics.search.storage import Presence
from jaxomics.search.study import Group, Search

Prepare = Callable[[Any, Train], Bench]
"""(config, train) -> what a group of trials with these static settings is trained on."""

Told = Callable[[float, str], None]
"""Told how many trials are done, with fractions, and what is going on."""

WAIT_SECONDS = 1.0
"""How often to look whether other processes have finished."""


class Base(NamedTuple):
    """The settings that trials start from: what a search does not draw stays as it is here."""

    config: Any
    hyper: Hyper
    train: Train


def run_search(
    search: Search,
    presence: Presence,
    prepare: Prepare,
    base: Base,
    trials: int,
    *,
    seed: int,
    max_replicas: int | None = None,
    told: Told = lambda done, message: None,
) -> None:
    """Work until a study has so many finished trials, alone or together with other processes.

    A process that finds nothing left to draw waits for the others, and takes over the trials of
    those that die. So all processes end with the same table.

    Args:
      search: the study.
      presence: this process, entered as a context manager.
      prepare: makes the bench of a group.
      base: settings that are not drawn.
      trials: how many.
      seed: of training.
      max_replicas: trials at the same time; chosen from the memory there is by default.
      told: told of progress.

    Raises:
      KeyboardInterrupt: after Ctrl-C; trials that were not finished are drawn anew on resuming.
    """
    while True:
        search.set_aside_lost(presence.dead())
        counts = search.count()
        if counts.finished >= trials:
            told(trials, "done")
            return
        if counts.finished + counts.running >= trials:
            told(counts.finished, f"waiting for {counts.running} trials of other processes")
            time.sleep(WAIT_SECONDS)
            continue
        group = search.ask(trials, presence.name)
        if group.trials:
            _run_group(
                search, group, prepare, base,
                seed=seed, max_replicas=max_replicas, done=counts.finished, told=told,
            )  # fmt: skip


def _run_group(
    search: Search,
    group: Group,
    prepare: Prepare,
    base: Base,
    *,
    seed: int,
    max_replicas: int | None,
    done: int,
    told: Told,
) -> None:
    """Train one group of trials and tell what became of them; set it aside if that breaks off."""
    begun = time.perf_counter()
    placed = [Base(*place(values, *base)) for values in group.values]
    config, train = placed[0].config, placed[0].train
    numbers = [trial.number for trial in group.trials]

    def tell_epoch(epoch: int) -> None:
        share = len(numbers) * epoch / train.epochs
        told(done + share, f"trials {numbers[0]} to {numbers[-1]}: epoch {epoch}")

    try:
        bench = prepare(config, train)
        watch = Watch(
            len(numbers), bench.model.monitor, train.epochs,
            prune=search.prune(group), tell=tell_epoch,
        )  # fmt: skip
        hypers = [settings.hyper for settings in placed]
        outcomes = train_group(bench, hypers, train, watch, seed=seed, max_replicas=max_replicas)
    except BaseException:
        search.abandon(group)
        raise
    seconds = time.perf_counter() - begun
    search.tell(group, outcomes, best=train.restore_best, seconds=seconds)
