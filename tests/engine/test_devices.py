"""Layouts, and results that do not depend on them: four simulated CPU devices against one."""

import os
import subprocess
import sys
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st

from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data
from jaxomics.engine import devices as module
from jaxomics.engine.devices import default_devices, make_layout, one_device
from jaxomics.engine.drive import Recorder
from jaxomics.engine.fit import fit
from jaxomics.engine.log import read_lines
from jaxomics.engine.replicate import fit_many, repeat, stack
from jaxomics.engine.state import FitResult, Train
from jaxomics.errors import InputError
from jaxomics.losses.masked import AXIS, split_axis
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models import mosa
from jaxomics.models.base import Aux, Model, Player, Variables

ROWS, VALID = list(range(16)), [16, 17, 18]
TRAIN = Train(epochs=3, batch_size=8, valid_fraction=0.1)
SHORT = Train(epochs=2, batch_size=8)
CLOSE: Any = {"rtol": 2e-5, "atol": 2e-6}


@pytest.fixture(scope="module")
def four() -> list:
    assert len(jax.devices()) == 4
    return jax.devices()


# Layouts


@pytest.mark.parametrize(
    ("replicas", "batch", "shape"),
    [
        (4, 8, (4, 1)),  # one replica each
        (8, 8, (4, 1)),
        (10, 8, (4, 1)),  # three each, two places of padding
        (5, 8, (3, 1)),  # two each: a fourth device would not make it less
        (2, 8, (2, 2)),  # devices left over split the batch
        (1, 8, (1, 4)),
        (1, 6, (1, 3)),  # what divides the batch
        (1, 7, (1, 1)),
        (1, None, (1, 1)),
    ],
)
def test_replicas_first_then_the_batch(four: list, replicas: int, batch: Any, shape: tuple):
    layout = make_layout(replicas, four, batch=batch)
    assert tuple(layout.mesh.shape.values()) == shape
    assert layout.mesh.axis_names == ("replica", "data")
    assert layout.axis_name is None


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 64))
def test_no_device_holds_more_replicas_than_it_must(replicas: int, devices: int, batch: int):
    layout = make_layout(replicas, jax.devices()[:devices], batch=batch)
    replica, data = layout.mesh.shape.values()
    assert -(-replicas // replica) == -(-replicas // devices)
    assert batch % data == 0
    places = layout.places(replicas)
    assert places % replica == 0
    assert 0 <= places - replicas < replica


def test_pmap_splits_the_batch_only(four: list):
    layout = make_layout(4, four, batch=8, backend="pmap")
    assert tuple(layout.mesh.shape.values()) == (1, 4)
    assert layout.axis_name == module.DATA == AXIS


def test_one_device_places_nothing():
    layout, tree = one_device(), {"a": jnp.ones(3)}
    assert layout.single
    assert layout.share(tree) is layout.spread(tree) is layout.home(tree) is tree
    assert layout.split(tree) is tree
    assert default_devices() == jax.devices()[:1]
    assert not make_layout(1, jax.devices()[1:2]).single


def test_arrays_and_keys_are_placed_and_come_home(four: list):
    layout = make_layout(4, four)
    tree = {"a": np.arange(8.0, dtype=np.float32), "key": jax.random.split(jax.random.key(1), 4)}
    spread = layout.spread(tree)
    assert {shard.data.shape for shard in spread["a"].addressable_shards} == {(2,)}
    assert layout.share(tree)["a"].sharding.is_fully_replicated
    home = layout.home(spread)
    np.testing.assert_array_equal(home["a"], tree["a"])
    chex.assert_trees_all_equal(*(jax.random.key_data(t["key"]) for t in (home, tree)))
    told = layout.spread(jax.eval_shape(lambda: tree))
    assert told["a"].sharding == spread["a"].sharding


class Process:
    """A device of some process."""

    def __init__(self, process: int, number: int):
        self.process_index, self.number = process, number


def test_every_process_takes_part_alike(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "Mesh", lambda devices, *_, **__: devices)
    devices = [Process(p, i) for p in (0, 1) for i in range(3)]

    def chosen(**settings: Any) -> list:
        mesh: Any = make_layout(devices=devices, **settings).mesh
        return [[(d.process_index, d.number) for d in row] for row in mesh]

    assert chosen(replicas=1, batch=4) == [[(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert chosen(replicas=2, batch=3) == [[(p, i) for i in range(3)] for p in (0, 1)]
    assert chosen(replicas=3, batch=1) == [[(0, 0)], [(1, 0)]]
    with pytest.raises(InputError, match=r"2 processes can share .* 1 replicas and batches of 5"):
        chosen(replicas=1, batch=5)
    with pytest.raises(InputError, match="one process under pmap, found 2"):
        make_layout(1, devices, batch=4, backend="pmap")


# Equal results


def uneven(features: int = 3) -> np.ndarray:
    """[20, features] with holes: hardly anything is measured in some rows, all in others."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(20, features)).astype(np.float32) + 1
    x[draw.random(x.shape) < draw.random((20, 1)) ** 2] = np.nan
    return x


class Normed(nn.Module):
    """Hidden units under a batch norm."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool):
        hidden = nn.Dense(4, use_bias=False)(x)
        norm = nn.BatchNorm(use_running_average=not train, axis_name=split_axis())
        return nn.Dense(x.shape[1])(jnp.tanh(norm(hidden)))


def normed_model() -> Model:
    """An autoencoder without noise, with batch statistics."""

    def init(key: jax.Array, batch: Any) -> Variables:
        found = Normed().init(key, batch.x["rna"], train=True)
        return Variables({"own": found["params"]}, {"own": found["batch_stats"]})

    def loss(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        variables = {"params": params["own"], "batch_stats": collections["own"]}
        out, new = Normed().apply(variables, batch.x["rna"], train, mutable=["batch_stats"])
        value = masked_mse(out, batch.x["rna"], batch.observed["rna"])
        return value, Aux({"loss": value}, {"own": new["batch_stats"]})

    return Model(init, (Player("own", loss, lambda hyper: optax.adam(hyper.learning_rate)),))


def mosa_model(**settings: Any) -> Model:
    """MOSA on a view with a mean and one with a macro loss."""
    views = (ViewSpec("rna", 3), ViewSpec("cn", 3, likelihood="macro", levels=(-1.0, 0.0, 1.0)))
    return mosa.build(mosa.Config(latent=3, **settings), DataSpec(views))


def run(model: Model, hyper: Any, toy: Any, train: Train = TRAIN, **where: Any) -> FitResult:
    views = {"rna": uneven(), "cn": np.sign(np.round(uneven() - 1))}
    data = make_data(views, labels=np.arange(20) % 3)
    standard = Standard(dict.fromkeys(views, jnp.zeros(3)), dict.fromkeys(views, jnp.ones(3)))
    split = toy.split(ROWS, VALID if train.valid_fraction else [])
    if "replicas" not in where:
        return fit(model, data, standard, split, hyper, train, key=jax.random.key(3), **where)
    replicas = where.pop("replicas")
    many: Any = repeat((standard, split, hyper), replicas)
    keys = jax.random.split(jax.random.key(3), replicas)
    return fit_many(model, data, *many, train, keys=keys, **where)


def same(found: FitResult, expected: FitResult) -> None:
    parts = [(r.params, r.collections, r.control.best) for r in (found, expected)]
    chex.assert_trees_all_close(*parts, **CLOSE)
    assert len(found.history) == len(expected.history)
    for one, other in zip(found.history, expected.history, strict=True):
        numbers = [{k: v for k, v in row.items() if k != "split"} for row in (one, other)]
        chex.assert_trees_all_close(*numbers, rtol=1e-4, atol=1e-5)


def test_split_batches_equal_one_device_noise_included(toy, four: list):
    model, hyper = mosa_model(view_dropout_per="sample"), mosa.Hyper()
    same(run(model, hyper, toy, SHORT, devices=four), run(model, hyper, toy, SHORT))


def test_spread_replicas_equal_one_device_noise_included(toy, four: list):
    expected = run(toy.model, toy.hyper, toy, replicas=5)
    found = run(toy.model, toy.hyper, toy, replicas=5, devices=four)  # two each on three devices
    same(found, expected)
    assert found.state is not None
    assert found.state.step.shape == (5,)
    assert sorted({row["replica"] for row in found.history}) == list(range(5))
    chunked = run(toy.model, toy.hyper, toy, replicas=5, devices=four, max_replicas=2)
    chex.assert_trees_all_close(chunked.params, expected.params, **CLOSE)


def test_batches_really_are_split(toy, four: list):
    layout, seen = make_layout(1, four, batch=8), []

    def double(batch: Any) -> Any:
        batch = layout.split(batch)
        jax.debug.inspect_array_sharding(batch, callback=seen.append)
        return batch * 2.0

    jax.jit(double)(layout.share(np.ones((8, 3), np.float32)))
    assert seen[0].shard_shape((8, 3)) == (2, 3)


def test_pmap_equals_jit_on_one_and_on_four(toy, four: list):
    # A batch norm and no noise; devices see unequal numbers of measured cells.
    model = normed_model()
    one = run(model, toy.hyper, toy)
    same(run(model, toy.hyper, toy, devices=four), one)
    same(run(model, toy.hyper, toy, devices=four, backend="pmap"), one)


def test_pmap_equals_jit_for_losses_per_sample(toy, four: list):
    # Mean and macro errors and the KL divergence.
    model, hyper = without_draws(mosa_model(contrastive="none")), mosa.Hyper()
    found = run(model, hyper, toy, SHORT, devices=four, backend="pmap")
    same(found, run(model, hyper, toy, SHORT))


def test_pmap_of_replicas(toy, four: list):
    model = normed_model()
    found = run(model, toy.hyper, toy, SHORT, replicas=2, devices=four, backend="pmap")
    same(found, run(model, toy.hyper, toy, SHORT, replicas=2))
    assert not np.allclose(found.collections["own"]["BatchNorm_0"]["mean"], 0.0)


def without_draws(model: Model) -> Model:
    """The model with z at its mean: the loss of evaluation mode, in training too."""
    player = model.players[0]

    def loss(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        return player.loss(params, collections, batch, key, hyper, train=False)

    return model._replace(players=(player._replace(loss=loss),))


def test_pmap_draws_noise_per_device(toy, four: list):
    # The loss is (w + e - x)^2 averaged over cells, with e of its own for each cell and device.
    where = {"devices": four, "backend": "pmap"}
    found = run(toy.model, toy.hyper, toy, **where).history
    expected = run(toy.model, toy.hyper, toy).history
    assert found[0]["loss"] != expected[0]["loss"]
    assert found[0]["loss"] == pytest.approx(expected[0]["loss"], rel=0.2)


def test_checkpoints_do_not_know_devices(toy, four: list, tmp_path):
    # Begun on four devices, whose five replicas need padding, and ended on one.
    model, hyper = toy.model, toy.hyper
    part, whole = Train(epochs=2, batch_size=8), Train(epochs=4, batch_size=8)
    run(model, hyper, toy, part, replicas=5, devices=four, recorder=Recorder(tmp_path))
    again = Recorder(tmp_path, resume=True)
    found = run(model, hyper, toy, whole, replicas=5, recorder=again)
    expected = run(model, hyper, toy, whole, replicas=5)
    same(found, expected)
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 4 * 5


def test_replicas_that_differ_stay_in_order(toy, four: list):
    rates = [0.1, 0.01, 0.03, 0.2, 0.05]
    standard = Standard({"rna": jnp.zeros(3)}, {"rna": jnp.ones(3)})
    hypers = stack([toy.hyper.replace(learning_rate=rate) for rate in rates])
    conditionals = np.zeros((5, 20, 1), np.float32)
    data = make_data({"rna": uneven()}).replace(conditionals=jnp.asarray(conditionals))
    standards, splits = repeat((standard, toy.split(ROWS)), 5)
    keys = jax.random.split(jax.random.key(0), 5)
    train = Train(epochs=2, batch_size=8)
    settings: Any = (toy.model, data, standards, splits, hypers, train)
    one = fit_many(*settings, keys=keys)
    halted = {"halt": lambda rows: [3] if rows[-1]["epoch"] == 1 else [], "block": 1}
    same(fit_many(*settings, keys=keys, devices=four), one)
    same(
        fit_many(*settings, keys=keys, devices=four, **halted),
        fit_many(*settings, keys=keys, **halted),
    )


CORES = """
import os
from jaxomics.engine.devices import MOST_CORES, cores_are_devices, make_layout, use_cores
use_cores()
cores = min(len(os.sched_getaffinity(0)), MOST_CORES)
assert cores_are_devices() == (cores > 1)
assert make_layout(4 * cores, batch=8).mesh.shape == {"replica": cores, "data": 1}
assert make_layout(1, batch=8).single
use_cores()
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="nobody tells the cores here")
def test_cores_take_replicas_but_do_not_split_batches():
    clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", CORES], env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
