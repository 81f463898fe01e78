"""Schedules and stopping against PyTorch's trace, closed forms and hand-worked cases."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.engine.control import scheduled_rate, start_control, update_control
from jaxomics.engine.state import Train
from jaxomics.errors import InputError

SAVED = json.loads((Path(__file__).parents[1] / "parity" / "plateau.json").read_text())
RATE = jnp.float32(3e-4)


def trace(train: Train, values: list[float]):
    """Controls after each epoch, for parameters that are the epoch's number."""

    def epoch(control, step):
        i, value = step
        after = update_control(control, train, value, i, i.astype(jnp.float32), RATE)
        return after, after

    start = start_control(jnp.float32(-1), train)
    steps = (jnp.arange(len(values)), jnp.array(values, jnp.float32))
    return jax.jit(lambda: jax.lax.scan(epoch, start, steps)[1])()


@pytest.mark.parametrize("case", list(SAVED["cases"]))
def test_plateau_equals_torch(case: str):
    saved = SAVED["cases"][case]
    after = trace(Train(schedule="plateau", valid_fraction=0.1), saved["validation"])
    used = np.concatenate([[1.0], after.rate[:-1]]) * 3e-4
    np.testing.assert_allclose(used, saved["learning_rate"], rtol=2e-5)


def test_plateau_reduces_after_patience_plus_one_epochs():
    # The best value is that of epoch 0; epochs 1 to 8 are the eight bad ones that exceed a
    # patience of 7. The counter restarts, so the second reduction comes after epoch 16.
    after = trace(Train(schedule="plateau", valid_fraction=0.1), [1.0, *[0.99995] * 16])
    np.testing.assert_allclose(after.rate, [1.0] * 8 + [0.6] * 8 + [0.36], rtol=1e-6)


def test_other_schedules_leave_the_rate_alone():
    assert float(trace(Train(), [1.0] * 30).rate[-1]) == 1.0


def test_early_stopping_and_best_parameters():
    # 0.89996 is 0.9 to four decimals: no improvement. So epoch 1 is best, epochs 2 and 3 are the
    # two bad ones, and the run stops after epoch 3.
    train = Train(stop_patience=2, restore_best=True, valid_fraction=0.1)
    after = trace(train, [1.0, 0.9, 0.95, 0.89996])
    assert after.active.tolist() == [True, True, True, False]
    assert after.stop_waited.tolist() == [0, 0, 1, 2]
    assert after.best_epoch.tolist() == [0, 1, 1, 1]
    assert after.best_params.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_replicas_stop_on_their_own():
    train = Train(stop_patience=1, valid_fraction=0.1)
    control = jax.vmap(lambda w: start_control(w, train))(jnp.zeros(2))
    step = jax.jit(
        jax.vmap(lambda c, v: update_control(c, train, v, jnp.int32(0), jnp.float32(0), RATE))
    )
    control = step(control, jnp.array([1.0, 1.0]))
    control = step(control, jnp.array([1.1, 0.9]))
    assert control.active.tolist() == [False, True]


def test_nan_never_improves():
    after = trace(Train(stop_patience=5, valid_fraction=0.1), [float("nan"), 1.0])
    assert after.stop_waited.tolist() == [1, 0]


@pytest.mark.parametrize(("warmup", "steps"), [(0.05, 100), (0.5, 10), (0.0, 7), (0.05, 1)])
def test_cosine_with_warm_up_is_the_closed_form(warmup: float, steps: int):
    train = Train(schedule="cosine", warmup=warmup, floor_factor=0.01)
    found = scheduled_rate(train, jnp.arange(steps), steps)
    warm = max(round(warmup * steps), 1)
    expected = [
        (s + 1) / warm
        if s < warm
        else 0.01 + 0.99 * (1 + np.cos(np.pi * (s - warm) / max(steps - warm, 1))) / 2
        for s in range(steps)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert float(scheduled_rate(Train(), jnp.int32(3), steps)) == 1.0


def test_linear_decay_by_epoch_ends_above_zero():
    train = Train(epochs=8, schedule="linear", decay_epochs=3)
    found = scheduled_rate(train, jnp.arange(16), 16)
    np.testing.assert_allclose(found, np.repeat([1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4], 2), atol=1e-7)


def test_step_schedule_divides_by_ten():
    train = Train(epochs=5, schedule="step", step_epochs=2)
    found = scheduled_rate(train, jnp.arange(10), 10)
    np.testing.assert_allclose(found, np.repeat([1, 1, 0.1, 0.1, 0.01], 2), rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs of at least 1"),
        ({"ensemble": 0}, "ensemble of at least 1"),
        ({"valid_fraction": 1.0}, "valid_fraction"),
        ({"schedule": "plateau"}, "plateau schedule watches validation"),
        ({"decay_epochs": -1}, "decay_epochs of at least 0"),
        ({"stop_patience": 3}, "early stopping watches validation"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        Train(**settings)
