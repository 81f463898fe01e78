"""Run a search: draw a group, train it, tell, until enough trials are finished.

Where several processes train as one, process 0 runs the search (`run_search`) and alone talks to
the study; the others help (`help_search`): they get the settings it draws, and train with it.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxomics.engine.processes import text_from_writer
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
    while (group := _next(search, presence, trials, told)) is not None:
        text_from_writer(json.dumps(group.values))
        if group.trials:
            _run_group(
                search, group, prepare, base, seed=seed, max_replicas=max_replicas, told=told
            )
    text_from_writer(json.dumps(None))


def help_search(
    prepare: Prepare, base: Base, *, seed: int, max_replicas: int | None = None
) -> None:
    """Train with process 0 what its `run_search` draws, until that ends.

    Args:
      prepare, base, seed, max_replicas: as process 0 has them.
    """
    while (drawn := json.loads(text_from_writer(None))) is not None:
        if drawn:
            placed = _placed([_as_drawn(values) for values in drawn], base)
            config, _, train = placed[0]
            train_group(
                prepare(config, train), [settings.hyper for settings in placed], train, None,
                seed=seed, max_replicas=max_replicas,
            )  # fmt: skip


def _next(search: Search, presence: Presence, trials: int, told: Told) -> Group | None:
    """Return the next group; one without trials after waiting for others, None at the end."""
    search.set_aside_lost(presence.dead())
    counts = search.count()
    if counts.finished >= trials:
        told(trials, "done")
        return None
    if counts.finished + counts.running >= trials:
        told(counts.finished, f"waiting for {counts.running} trials of other processes")
        time.sleep(WAIT_SECONDS)
        return Group([], [])
    return search.ask(trials, presence.name)


def _run_group(
    search: Search,
    group: Group,
    prepare: Prepare,
    base: Base,
    *,
    seed: int,
    max_replicas: int | None,
    told: Told,
) -> None:
    """Train one group of trials and tell what became of them; set it aside if that breaks off."""
    begun, done = time.perf_counter(), search.count().finished
    placed = _placed(group.values, base)
    config, _, train = placed[0]
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


def _placed(values: list[dict[str, Any]], base: Base) -> list[Base]:
    """Return the settings of each trial of a group: what was drawn, and the rest of the base."""
    return [Base(*place(drawn, *base)) for drawn in values]


def _as_drawn(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings that came as JSON with layers as tuples again.

    >>> _as_drawn({"hidden": [64.0, 0.5], "dropout": 0.1})
    {'hidden': (64.0, 0.5), 'dropout': 0.1}
    """
    return {
        field: tuple(value) if isinstance(value, list) else value for field, value in values.items()
    }
