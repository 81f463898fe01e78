import math

from jaxomics.search.group import RUNGS, Outcome, Watch


def rows(epoch: int, values: dict[int, float], split: str = "valid") -> list[dict]:
    return [
        {"epoch": epoch, "replica": replica, "split": split, "loss": value}
        for replica, value in values.items()
    ]


def test_pruning_is_asked_at_the_rungs_whatever_the_blocks():
    asked = {}
    for name, blocks in {"single": [[e] for e in range(1, 41)], "long": [range(1, 41)]}.items():
        seen: list[tuple[int, int]] = []
        watch = Watch(2, "loss", 40, prune=lambda r, e, v, seen=seen: bool(seen.append((r, e))))
        for block in blocks:
            assert watch([row for e in block for row in rows(e, {0: 1.0 / e, 1: 2.0})]) == []
        asked[name] = seen
        assert watch.outcomes[0].value(best=False) == 1.0 / 40
    assert asked["single"] == asked["long"]
    assert len(asked["single"]) == 2 * RUNGS


def test_a_pruned_trial_ends_at_its_rung_although_the_block_goes_on():
    watch = Watch(2, "loss", 20, prune=lambda replica, epoch, value: (replica, epoch) == (1, 4))
    told = watch([row for e in range(1, 11) for row in rows(e, {0: 1.0, 1: float(e)})])
    assert told == [1]
    assert [len(outcome.values) for outcome in watch.outcomes] == [10, 4]
    assert watch.outcomes[1] == Outcome([1.0, 2.0, 3.0, 4.0], "pruned")


def test_nothing_is_pruned_at_the_very_end():
    watch = Watch(1, "loss", 10, prune=lambda replica, epoch, value: epoch == 10)
    assert watch([row for e in range(1, 11) for row in rows(e, {0: 1.0})]) == []


def test_what_is_not_finite_in_any_metric_fails_the_trial_alone():
    watch = Watch(2, "loss", 10, prune=lambda *_: False)
    told = watch([*rows(1, {0: 1.0, 1: math.inf}, "train"), *rows(1, {0: 1.0, 1: 5.0})])
    assert told == [1]
    failed = watch.outcomes[1]
    assert (failed.state, failed.note) == ("failed", "loss = inf at epoch 1 (train)")
    assert math.isnan(failed.value(best=True))
    assert watch.outcomes[0].state == "running"


def test_the_objective_is_the_last_value_or_the_best():
    outcome = Outcome([3.0, 1.0, 2.0], "complete")
    assert (outcome.value(best=False), outcome.value(best=True)) == (2.0, 1.0)
