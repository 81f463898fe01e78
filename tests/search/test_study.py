"""Drawing, telling, sharing and resuming, with closed-form objectives in place of training."""

import json
import math
from pathlib import Path

import pytest
from optuna.trial import TrialState

from jaxomics.config import Choice, Float, Int
from jaxomics.errors import InputError
from jaxomics.search.group import Outcome
from jaxomics.search.storage import Presence
from jaxomics.search.study import TOLD, Group, Search
from jaxomics.search.tables import importance_table, timing_table, trials_table

SPACE = {
    "latent": Int(1, 64),
    "hidden": Choice(((1.0,), (2.0, 3.0))),
    "rate": Float(1e-4, 1.0, log=True),
    "dropout": Float(0.0, 1.0),
}
STATIC = ("latent", "hidden")


def search(where: str | Path | None = None, *, space=None, static=STATIC, **changes) -> Search:
    settings = {"identity": {"data": "a"}, "seed": 0, "epochs": 20, "group_size": 4} | changes
    return Search(where, "mosa", space or SPACE, static, **settings)


def objective(values: dict) -> float:
    return (math.log10(values["rate"]) + 2) ** 2 + 0.1 * values["dropout"]


def work(one: Search, wanted: int, process: str = "p") -> None:
    while one.count().finished < wanted:
        group = one.ask(wanted, process)
        one.tell(group, [Outcome([objective(v)], "complete") for v in group.values])


def test_a_group_shares_what_is_static_and_nothing_else():
    one = search()
    for _ in range(3):
        group = one.ask(100, "p")
        assert len(group.trials) == 4
        assert len({(v["latent"], v["hidden"]) for v in group.values}) == 1
        assert len({v["rate"] for v in group.values}) == 4
        one.tell(group, [Outcome([objective(v)], "complete") for v in group.values])
    assert trials_table(one)["group"].tolist() == [i // 4 for i in range(12)]


def test_values_are_settings_and_layers_survive_the_storage(tmp_path: Path):
    one = search(tmp_path / "study.log")
    group = one.ask(4, "p")
    assert all(v["hidden"] in SPACE["hidden"].values for v in group.values)
    again = search(tmp_path / "study.log")
    stored = [again.values(trial.params) for trial in again.trials()]
    assert stored == group.values


@pytest.mark.parametrize(("storage", "trials"), [("{}/study.log", 24), ("sqlite:///{}/a.db", 8)])
def test_the_same_seed_gives_the_same_trials_even_after_a_stop(
    tmp_path: Path, storage: str, trials: int
):
    where = storage.format(tmp_path)
    whole = search()
    work(whole, trials)
    with search(where) as first:
        work(first, trials // 2)
    with search(where) as second:
        work(second, trials)
        assert trials_table(whole).equals(trials_table(second))
    other = search(seed=1)
    work(other, 4)
    assert trials_table(other)["rate"].tolist() != trials_table(whole)["rate"].tolist()[:4]


def test_the_sampler_learns():
    one = search(space={"rate": SPACE["rate"], "dropout": SPACE["dropout"]}, static=())
    work(one, 60)
    values = trials_table(one)["value"]
    assert values[40:].median() < 0.3 * values[:10].median()
    importance = importance_table(one, 0).set_index("field")["importance"]
    assert importance.index[0] == "rate"
    assert importance.sum() == pytest.approx(1.0)


def test_more_trials_than_wanted_never_count():
    one, two = search(), search()
    two.study, two._sampler = one.study, one._sampler
    ahead = one.ask(6, "one")
    behind = two.ask(6, "two")
    assert (len(ahead.trials), len(behind.trials)) == (4, 2)
    assert two.ask(6, "two") == Group([], [])


def test_trials_drawn_at_the_same_moment_are_kept_in_the_order_of_their_numbers(monkeypatch):
    one = search()
    stale = one.count()
    first = one.ask(4, "one")
    monkeypatch.setattr(one, "count", lambda: stale)  # the other looked before the first drew
    second = one.ask(6, "two")
    assert [trial.number for trial in second.trials] == [4, 5]
    assert len(first.trials) + len(second.trials) == len(one.trials()) == 6


def test_trials_that_others_queue_or_fail_do_not_count():
    one = search()
    one.ask(8, "p")
    one.study.enqueue_trial({"latent": 1, "hidden": "1", "rate": 0.1, "dropout": 0.5})
    one.study.tell(0, state=TrialState.FAIL)
    queued = one.study.ask(one._distributions)
    one._sampler.fixed = {"latent": 2}
    assert not one._keep(queued, 100)
    assert one.count() == (0, 3)


def test_trials_of_dead_processes_are_drawn_anew():
    one = search()
    group = one.ask(8, "dead")
    assert one.set_aside_lost({"other"}) == 0
    assert one.set_aside_lost({"dead"}) == 4
    assert one.count() == (0, 0)
    work(one, 8)
    assert trials_table(one)["trial"].tolist() == list(range(4, 12))
    one.tell(group, [Outcome([0.0], "complete")] * 4)  # it was not dead after all: too late
    assert len(trials_table(one)) == 8


def test_a_process_that_was_set_aside_learns_it_on_reporting():
    one = search()
    group = one.ask(8, "slow")
    judge = one.prune(group)
    assert not judge(0, 1, 1.0)
    one.set_aside_lost({"slow"})
    assert judge(0, 2, 1.0)


def test_bad_trials_are_pruned_at_the_median():
    one = search(epochs=10)
    for _ in range(2):
        group = one.ask(100, "p")
        judge = one.prune(group)
        for replica in range(4):
            assert not any(judge(replica, epoch, 1.0 + replica) for epoch in range(1, 11))
        one.tell(group, [Outcome([1.0 + i], "complete") for i in range(4)])
    group = one.ask(100, "p")
    judge = one.prune(group)
    assert not judge(0, 2, 9.0)  # too early
    assert judge(0, 3, 9.0)
    assert not any(judge(1, epoch, 2.0) for epoch in range(1, 11))
    patient = search(epochs=10, prune=False)
    work(patient, 8)
    group = patient.ask(12, "p")
    assert not any(patient.prune(group)(0, epoch, 9.0) for epoch in range(1, 11))


def test_failed_trials_count_and_keep_their_reason():
    one = search()
    group = one.ask(4, "p")
    bad = Outcome([2.0], "failed", "loss = nan at epoch 2 (train)")
    one.tell(group, [bad, Outcome([3.0, 2.5], "complete"), Outcome([7.0], "pruned"), bad])
    table = trials_table(one)
    assert table["state"].tolist() == ["failed", "complete", "pruned", "failed"]
    assert table["epochs"].tolist() == [1, 2, 1, 1]
    assert table["value"].isna().tolist() == [True, False, True, True]
    assert one.best().value == 2.5
    assert one.trials()[0].user_attrs[TOLD]["note"] == "loss = nan at epoch 2 (train)"


def test_a_search_in_which_all_trials_fail_says_so():
    one = search()
    group = one.ask(4, "p")
    one.tell(group, [Outcome([], "failed", "loss = nan at epoch 1 (train)")] * 4)
    with pytest.raises(InputError, match="the last diverged with loss = nan at epoch 1"):
        one.best()


def test_the_best_value_of_a_trial_may_be_the_objective():
    one = search()
    group = one.ask(2, "p")
    one.tell(group, [Outcome([3.0, 1.0, 2.0], "complete")] * 2, best=True)
    assert one.best().value == 1.0


def test_a_study_about_something_else_is_not_joined(tmp_path: Path):
    where = tmp_path / "study.log"
    search(where, identity={"data": "a", "settings": "x"})
    search(where, identity={"data": "a", "settings": "x"})
    with pytest.raises(InputError, match="was started with other data and settings"):
        search(where, identity={"data": "b", "settings": "y"})


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere/study.log", "expected a file in an existing folder"),
        ("", "expected a file in an existing folder"),
        ("table.json", "expected the journal of a study"),
        ("sqlite:////nowhere/at/all/study.db", "cannot be reached"),
        ("nosuch://host/study", "cannot be reached"),
        ("postgresql://nobody@127.0.0.1:1/study", "cannot be reached"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_named(tmp_path: Path, where: str, message: str):
    (tmp_path / "table.json").write_text(json.dumps({"a": 1}) + "\n", encoding="utf-8")
    storage = where if "://" in where else tmp_path / where
    with pytest.raises(InputError, match=message):
        search(storage)


def test_tables_have_one_row_per_trial():
    one = search()
    work(one, 8)
    assert list(trials_table(one).columns) == [
        "trial", "group", "state", "value", *SPACE, "epochs",
    ]  # fmt: skip
    assert set(trials_table(one)["hidden"]) <= {"1", "2/3"}
    assert timing_table(one)["process"].tolist() == [0] * 8


def test_importance_needs_trials_that_differ():
    one = search()
    group = one.ask(4, "p")
    one.tell(group, [Outcome([1.0], "complete")] * 4)
    assert importance_table(one, 0).empty


def test_a_process_is_dead_when_it_stands_still_or_has_left(tmp_path: Path):
    study = search(tmp_path / "study.log").study
    with Presence(study, None, beat=100.0, grace=0.0) as watcher:
        assert watcher.dead() == set()
        still = Presence(study, None, beat=100.0)
        with still:
            assert watcher.dead() == set()  # seen for the first time
            assert watcher.dead() == {still.name}
            still._show(1)
            assert watcher.dead() == set()
        assert watcher.dead() == {still.name}


def test_an_earlier_process_of_the_same_folder_is_dead(tmp_path: Path):
    study = search(tmp_path / "study.log").study
    before = Presence(study, tmp_path)
    before._show(0)
    with Presence(study, tmp_path) as now:
        assert now.dead() == {before.name}
    with Presence(study, tmp_path / "other") as elsewhere:
        assert elsewhere.dead() == {now.name}


def test_two_processes_do_not_write_one_folder(tmp_path: Path):
    study = search(tmp_path / "study.log").study
    other = Presence(study, tmp_path)
    other._about["pid"] = 1  # always alive
    other._show(0)
    with pytest.raises(InputError, match="is written by process 1, which still runs"):
        Presence(study, tmp_path)
