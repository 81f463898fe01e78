"""Timing: the timed run is the run of `fit`; operations and rates by closed forms."""

import chex
import jax
import numpy as np
import pytest

from jaxomics.engine.fit import fit
from jaxomics.engine.state import Train
from jaxomics.engine.timing import (
    Layer,
    best_of,
    layers,
    peak_gib,
    product_flops,
    time_products,
    time_training,
)


def test_timed_run_is_the_run_of_fit(toy):
    settings = (toy.data, toy.standard, toy.split(list(range(10))), toy.hyper)
    train = Train(epochs=5, batch_size=4)
    found, params = time_training(toy.model, *settings, train, calls=2, epochs=2, warmup=1)
    expected = fit(toy.model, *settings, train, key=jax.random.key(0))
    chex.assert_trees_all_equal(params, expected.params)
    assert found.loss == pytest.approx(expected.history[-1]["loss"])
    assert found.parameters == 3
    assert len(found.steps_s) == 2
    assert min(found.steps_s) > 0


def test_operations_leave_out_gradients_of_data():
    kernels = {"encoder": {"kernel": np.ones((5, 4)), "bias": np.ones(4)}}
    kernels["decoder"] = {"kernel": np.ones((4, 5))}
    dense = layers(kernels, lambda path: path.startswith("encoder"))
    assert sorted(dense) == [Layer(4, 5, True), Layer(5, 4, False)]
    assert product_flops(dense, batch=7) == 7 * 20 * (6 + 4)


def test_products_take_time():
    assert time_products([Layer(5, 4, False), Layer(4, 5, True)], batch=3, steps=2) > 0


def test_best_of_leaves_the_first_call_out():
    calls = []
    assert best_of(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 4


def test_peak_is_more_than_what_python_needs():
    assert 0.01 < peak_gib() < 1000
