"""Who draws, waits and takes over; training is replaced by a function that answers at once."""

import pytest

from jaxomics.config import Choice, Float, Int
from jaxomics.engine.state import Train
from jaxomics.models.base import Model
from jaxomics.models.mosa import Config, Hyper
from jaxomics.search import runner
from jaxomics.search.group import Bench
from jaxomics.search.storage import Presence
from jaxomics.search.study import Search

SPACE = {"latent": Int(1, 64), "dropout": Float(0.0, 0.9)}
BASE = runner.Base(Config(), Hyper(), Train(epochs=5, valid_fraction=0.2))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[float]]]:
    """What was trained: epochs of the schedule, and dropout rates; waiting takes no time."""
    calls: list[tuple[int, list[float]]] = []

    def train(bench, hypers, train, watch, *, seed, max_replicas):
        calls.append((train.epochs, [hyper.dropout for hyper in hypers]))
        if watch is None:
            return []
        for outcome, hyper in zip(watch.outcomes, hypers, strict=True):
            outcome.values, outcome.state = [hyper.dropout], "complete"
        return watch.outcomes

    monkeypatch.setattr(runner, "train_group", train)
    monkeypatch.setattr(runner, "WAIT_SECONDS", 0.0)
    return calls


def search() -> Search:
    return Search(
        None, "mosa", SPACE, ("latent",), identity={}, seed=0, epochs=5, group_size=4, prune=True
    )


def prepare(config: Config, train: Train) -> Bench:
    model = Model(lambda key, batch: None, ())  # pyright: ignore
    return Bench(model, None, None, None)  # pyright: ignore


def run(one: Search, trials: int, presence: Presence, **more) -> list[tuple[float, str]]:
    told: list[tuple[float, str]] = []
    runner.run_search(
        one, presence, more.get("prepare", prepare), BASE, trials, seed=0,
        told=lambda done, message: told.append((done, message)),
    )  # fmt: skip
    return told


def test_groups_are_trained_until_all_trials_are_there(trained):
    one = search()
    with Presence(one.study, None) as presence:
        told = run(one, 10, presence)
        assert run(one, 10, presence) == [(10, "done")]
    assert [len(rates) for _, rates in trained] == [4, 4, 2]
    assert told[-1] == (10, "done")
    assert one.count() == (10, 0)
    assert one.best().value == min(rate for _, rates in trained for rate in rates)


def test_settings_of_a_group_reach_its_training(trained):
    one, configs = search(), []
    with Presence(one.study, None) as presence:
        run(one, 4, presence, prepare=lambda c, t: configs.append(c.latent) or prepare(c, t))
    drawn = [one.values(trial.params) for trial in one.trials()]
    assert configs == [drawn[0]["latent"]]
    assert trained == [(5, [values["dropout"] for values in drawn])]


def test_trials_of_others_are_awaited_and_taken_over_when_they_die(trained):
    one = search()
    with Presence(one.study, None) as presence:
        other = Presence(one.study, None)
        other._show(0)
        lost = one.ask(6, other.name)
        waited: list[str] = []

        def told(done: float, message: str) -> None:
            waited.append(message)
            if len([m for m in waited if m.startswith("waiting")]) == 3:
                other._show(-1)  # it leaves without having told its trials

        runner.run_search(one, presence, prepare, BASE, 6, seed=0, told=told)
    assert waited.count("waiting for 4 trials of other processes") == 3
    assert one.count() == (6, 0)
    assert {t.number for t in lost.trials}.isdisjoint(t.number for t in one.trials())


def test_those_who_help_train_what_is_drawn(trained, monkeypatch: pytest.MonkeyPatch):
    space = SPACE | {"hidden": Choice(((4.0,), (4.0, 0.5))), "schedule": Choice(("plateau",))}
    one = Search(None, "mosa", space, ("latent", "hidden"), identity={}, seed=0, epochs=5)
    sent: list[str | None] = []
    configs: list[Config] = []
    monkeypatch.setattr(runner, "text_from_writer", sent.append)
    with Presence(one.study, None) as presence:
        run(one, 10, presence, prepare=lambda c, t: configs.append(c) or prepare(c, t))
    drawn, calls = list(configs), list(trained)
    texts = iter(["[]", *sent])  # process 0 waits for others at first
    monkeypatch.setattr(runner, "text_from_writer", lambda own: next(texts))
    runner.help_search(lambda c, t: configs.append(c) or prepare(c, t), BASE, seed=0)
    assert (configs, trained) == (drawn * 2, calls * 2)
    assert list(texts) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_group_that_breaks_off_does_not_count(trained, error):
    one = search()

    def broken(config: Config, train: Train) -> Bench:
        raise error

    with Presence(one.study, None) as presence:
        with pytest.raises(error):
            run(one, 4, presence, prepare=broken)
        assert one.count() == (0, 0)
        run(one, 4, presence)
    assert one.count() == (4, 0)
