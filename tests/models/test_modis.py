"""MODIS: published sizes, three steps against PyTorch, players, labels, tasks, replicas."""

import json
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, Data, DataSpec, Standard, ViewSpec, gather, make_data
from jaxomics.engine.fit import Settings, begin, floats, jitted, make_programs, run_shape
from jaxomics.engine.game import first_state, make_step
from jaxomics.engine.replicate import fit_many, repeat
from jaxomics.engine.state import Split, Train, TrainState
from jaxomics.errors import InputError
from jaxomics.models import modis
from jaxomics.models.base import Model, Variables, count_parameters

PARITY = Path(__file__).parents[1] / "parity"
INTERSIM = (("methylation", 367), ("expression", 131), ("protein", 160))
CLASSES = tuple("abcde")


def parameters(config: modis.Config) -> dict[str, Any]:
    """Shapes of the model of the paper's simulation, without allocating it."""
    spec = DataSpec(tuple(ViewSpec(*view) for view in INTERSIM), 0, CLASSES)
    data = make_data({name: np.zeros((2, features)) for name, features in INTERSIM})
    ones = {name: jnp.ones(features) for name, features in INTERSIM}
    standard = Standard(ones, ones)
    batch = jax.eval_shape(lambda: gather(data, standard, jnp.arange(2), jnp.ones(2)))
    return jax.eval_shape(modis.build(config, spec).init, jax.random.key(0), batch).params


def of_views(params: dict[str, Any]) -> list[int]:
    """Parameters of each autoencoder."""
    own = params[modis.VAE]
    return [
        sum(count_parameters(own[f"{part}_{name}"]) for part in ("encoders", "decoders"))
        for name, _ in INTERSIM
    ]


def test_parameters_are_the_papers():
    params = parameters(modis.Config(view_hidden=("methylation=512-512-512", "rna=7")))
    assert of_views(params) == [1_531_375, 382_723, 397_600]
    assert count_parameters(params[modis.DISCRIMINATOR]) == 724_744
    assert count_parameters(params) == 3_036_442
    units, features, z = 256, 131, 64
    linear = [(features, units), (units, units), (units, units), (units, z), (units, z), (z, units)]
    linear += [(units, units), (units, units), (units, features)]
    closed = sum(i * o + o for i, o in linear) + 5 * 2 * units
    assert of_views(params)[1] == closed


@pytest.mark.parametrize(
    ("first", "published"),
    [(1.2, [1_007_647, 134_081, 198_320]), (1.5, [1_169_787, 154_751, 229_328])],
)
def test_ratios_give_the_later_codes_parameters(first: float, published: list[int]):
    config = modis.Config(encoder_ratios=(first, 1.0, 0.75, 0.5, 0.25))
    assert of_views(parameters(config)) == published


def test_what_cannot_be_built_is_refused():
    rna, drug = ViewSpec("rna", 3), ViewSpec("drug", 2)
    with pytest.raises(InputError, match="at least 2 views, found 1"):
        modis.build(modis.Config(), DataSpec((rna,), 0, ("a", "b")))
    with pytest.raises(InputError, match="at least 2 classes, found 0"):
        modis.build(modis.Config(), DataSpec((rna, drug)))
    with pytest.raises(InputError, match="like methylation=512-512-512, found 'rna:5'"):
        modis.build(modis.Config(view_hidden=("rna:5",)), DataSpec((rna, drug), 0, ("a", "b")))
    model = modis.build(modis.Config(classes=2), DataSpec((rna, drug), 0, ("a", "b")))
    loss: Any = model.players[1].loss
    for name, known in (("view_weight", "rna"), ("view_kl_weight", "rna"), ("class_weight", "a")):
        hyper: Any = modis.Hyper().replace(**{name: {known: 1.0, "rnaa": 2.0}})
        with pytest.raises(InputError, match=rf"unknown \w+ of {name} 'rnaa'"):
            loss({}, {}, None, None, hyper, train=True)
    modis.build(modis.Config(classes=2), DataSpec((rna, drug)))


# Against PyTorch


def torch_case() -> tuple[dict[str, Any], DataSpec, modis.Config]:
    """What was saved, and the shapes of its model."""
    saved = json.loads((PARITY / "modis_steps.json").read_text())
    sizes = saved["config"]["views"]
    spec = DataSpec(
        tuple(ViewSpec(name, view["features"]) for name, view in sizes.items()), 0, tuple("abcd")
    )
    config = modis.Config(
        latent=saved["config"]["latent"],
        view_hidden=tuple(f"{name}={'-'.join([str(v['units'])] * 3)}" for name, v in sizes.items()),
        discriminator=tuple(saved["config"]["discriminator"]),
    )
    return saved, spec, config


def torch_batch(saved: dict[str, Any], spec: DataSpec) -> Batch:
    """A batch of the fixture: views have nothing to do with each other."""
    names, rows = spec.names, len(saved["x"][0])
    x = {v: jnp.array(saved["x"][i], jnp.float32) for i, v in enumerate(names)}
    return Batch(
        x=x,
        observed={v: jnp.ones(a.shape, bool) for v, a in x.items()},
        sample=dict.fromkeys(names, jnp.arange(rows)),
        conditionals=dict.fromkeys(names, jnp.zeros((rows, 0))),
        labels={v: jnp.array(saved["labels"][i]) for i, v in enumerate(names)},
        weight=dict.fromkeys(names, jnp.ones(rows)),
    )


def numbers(tree: Any) -> Any:
    """Nested dicts of lists as arrays."""
    if isinstance(tree, dict):
        return {name: numbers(item) for name, item in tree.items()}
    return jnp.array(tree, jnp.float32)


def as_variables(saved: dict[str, Any]) -> Variables:
    found = numbers(saved)
    params = {name: found[name] for name in (modis.VAE, modis.DISCRIMINATOR)}
    return Variables(params, {modis.VAE: found["statistics"]})


def test_three_steps_equal_torch():
    saved, spec, config = torch_case()
    model = modis.build(config, spec)
    hyper = modis.Hyper(learning_rate=saved["config"]["learning_rate"])
    state = first_state(model, as_variables(saved["before"]), hyper, jax.random.key(0))

    @jax.jit
    def step(state: TrainState, batch: Batch, noise: jax.Array) -> Any:
        given = iter(noise)

        def drawn(_: Any, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
            return mean + jnp.exp(log_variance / 2) * next(given)

        with patch.object(modis, "sampled", drawn):
            return make_step(model)(state, batch, hyper, jnp.ones(()))

    variances = []
    for raw, expected in zip(saved["batches"], saved["steps"], strict=True):
        noise = jnp.array(raw["noise"], jnp.float32)
        state, metrics = step(state, torch_batch(raw, spec), noise)
        for player, terms in expected.items():
            for name, value in terms.items():
                found = float(metrics[f"{player}/{name}"])
                assert found == pytest.approx(value, rel=1e-4, abs=1e-5), (player, name)
        variances.append(state.collections[modis.VAE]["encoders_alpha"]["normed_0"]["norm"])
    after = as_variables(saved["after"])
    chex.assert_trees_all_close(state.params, after.params, atol=1e-4)
    chex.assert_trees_all_close(state.collections, after.collections, atol=1e-4)
    # PyTorch keeps the unbiased variance: what a step adds to it is larger by B / (B - 1).
    added = np.asarray(variances[0]["variance"]) - 0.9
    unbiased = np.array(saved["unbiased_variance_after_one_step"]) - 0.9
    rows = len(saved["batches"][0]["x"][0])
    np.testing.assert_allclose(added * rows / (rows - 1), unbiased, rtol=1e-3, atol=1e-6)


# A toy cohort of disjoint views


class Toy:
    """Two views of disjoint samples that share three classes; a compiled step and its state."""

    spec = DataSpec((ViewSpec("rna", 6), ViewSpec("drug", 4)), 0, ("a", "b", "c"))
    config = modis.Config(latent=2, hidden=(5, 5), discriminator=(6,))

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        self.labels = np.arange(36) % 3
        arrays = {}
        for i, view in enumerate(self.spec.views):
            centres = draw.random((3, view.features))
            x = centres[self.labels] + 0.05 * draw.normal(size=(36, view.features))
            x[np.arange(36) // 18 != i] = np.nan
            arrays[view.name] = x
        self.data = make_data(arrays, labels=self.labels)
        ones = {view.name: jnp.ones(view.features) for view in self.spec.views}
        self.standard = Standard(jax.tree.map(jnp.zeros_like, ones), ones)
        self.model: Model = modis.build(self.config, self.spec)
        self.hyper = floats(modis.Hyper(learning_rate=0.01))
        self.train = Train(epochs=3, batch_size=6)
        self.split = Split(np.arange(36), 36, np.arange(0), 0)
        self.shape = run_shape(self.model, self.train, self.data, self.split)
        self.programs = jitted(make_programs(self.model, self.train, self.shape))

    def settings(self, labels: np.ndarray) -> Settings:
        data = self.data.replace(labels=jnp.asarray(labels))
        return Settings(data, self.standard, jax.tree.map(jnp.asarray, self.split), self.hyper)

    def run(self, labels: np.ndarray, key: jax.Array) -> tuple[TrainState, dict[str, Any]]:
        """Train three epochs; return the state and the metrics by epoch."""
        settings = self.settings(labels)
        state, control = begin(self.programs, settings, key)
        counts = np.int32(0), np.int32(3)
        state, _, metrics, _ = self.programs.epochs(state, control, *settings, *counts)
        return state, metrics["train"]


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def labels(toy: Toy) -> np.ndarray:
    """All labels, those of the first view only, and none."""
    half = np.where(np.arange(36) < 18, toy.labels, -1)
    return np.stack([toy.labels, half, np.full(36, -1)])


@pytest.fixture(scope="module")
def runs(toy: Toy, labels: np.ndarray) -> list[tuple[TrainState, dict[str, Any]]]:
    """One run for each of the three."""
    keys = jax.random.split(jax.random.key(7), 3)
    return [toy.run(known, key) for known, key in zip(labels, keys, strict=True)]


def test_partly_and_fully_unlabelled_runs_are_finite(runs: list[tuple[TrainState, Any]]):
    for (state, metrics), full in zip(runs, (True, False, False), strict=True):
        chex.assert_tree_all_finite((state.params, state.collections, metrics))
        assert bool(np.all(metrics["vae/class"] > 0)) or not full
    _, metrics = runs[2]
    assert not np.asarray(metrics["vae/class"]).any()
    assert not np.asarray(metrics["discriminator/class_accuracy"]).any()


def test_seeds_as_replicas_equal_runs_of_their_own(
    toy: Toy, labels: np.ndarray, runs: list[tuple[TrainState, Any]]
):
    data = toy.data.replace(labels=jnp.asarray(labels))
    many = fit_many(
        toy.model, data, repeat(toy.standard, 3), repeat(toy.split, 3), repeat(toy.hyper, 3),
        toy.train, keys=jax.random.split(jax.random.key(7), 3),
    )  # fmt: skip
    assert many.state is not None
    for i, (state, metrics) in enumerate(runs):
        mine: Any = jax.tree.map(
            lambda leaf, i=i: leaf[i], (many.params, many.collections, many.state.optimizer)
        )
        alone = state.params, state.collections, state.optimizer
        chex.assert_trees_all_close(mine, alone, atol=2e-5, rtol=1e-3)
        last = [row for row in many.history if row["replica"] == i][-1]
        assert last["vae/loss"] == pytest.approx(float(metrics["vae/loss"][2]), rel=1e-3)


def test_discriminator_leaves_the_autoencoders_alone(toy: Toy):
    settings = toy.settings(toy.labels)
    state, _ = begin(toy.programs, settings, jax.random.key(0))
    batch = gather(toy.data, toy.standard, jnp.arange(12, 24), jnp.ones(12))
    step = jax.jit(make_step(toy.model._replace(players=toy.model.players[:1])))
    optimizer = {modis.DISCRIMINATOR: state.optimizer[modis.DISCRIMINATOR]}
    first = state.replace(optimizer=optimizer)
    after, metrics = step(first, batch, toy.hyper, jnp.ones(()))
    chex.assert_trees_all_equal(after.collections, state.collections)
    chex.assert_trees_all_equal(after.params[modis.VAE], state.params[modis.VAE])
    assert float(metrics["grad_norm"]) > 0
    # It saw them at rest, where statistics start as mean 0 and variance 1: other statistics,
    # other latents.
    moved = jax.tree.map(lambda leaf: leaf + 1.0, state.collections)
    _, other = step(first.replace(collections=moved), batch, toy.hyper, jnp.ones(()))
    assert float(other["loss"]) != pytest.approx(float(metrics["loss"]), rel=1e-4)


def test_players_meet_the_same_latents_at_rest_and_other_noise_in_training(toy: Toy):
    settings = toy.settings(toy.labels)
    state, _ = begin(toy.programs, settings, jax.random.key(0))
    batch = gather(toy.data, toy.standard, jnp.arange(12, 24), jnp.ones(12))
    seen: list[jax.Array] = []
    draw = modis.sampled

    def spy(key: jax.Array, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
        seen.append(jax.random.key_data(key))
        return draw(key, mean, log_variance)

    def losses(train: bool) -> list[Any]:
        return [
            player.loss(
                state.params, state.collections, batch, jax.random.key(1), toy.hyper, train=train
            )[1].metrics
            for player in toy.model.players
        ]

    with patch.object(modis, "sampled", spy):
        judged, coded = jax.jit(lambda: losses(False))()
        assert not seen
        keys = jax.jit(lambda: (losses(True), jnp.stack(seen))[1])()
    assert not np.array_equal(keys[0], keys[1])
    for name in ("class", "clustering", "class_accuracy"):
        np.testing.assert_allclose(judged[name], coded[name], rtol=1e-5)


# Terms and tasks


def test_kl_belongs_to_a_batch_size_unless_it_is_a_mean(toy: Toy):
    draw = np.random.default_rng(1)
    mean, log_variance = (jnp.asarray(draw.normal(size=(2, 3, 2)), jnp.float32) for _ in "ab")
    closed = 0.5 * np.sum(
        np.exp(log_variance) + np.square(mean) - 1.0 - np.asarray(log_variance), axis=(1, 2)
    )
    batch = gather(toy.data, toy.standard, jnp.array([0, 1, 2]), jnp.ones(3))
    rows = jnp.ones((2, 3))

    @partial(jax.jit, static_argnums=(0, 1))
    def terms(config: modis.Config, copies: int, hyper: modis.Hyper) -> Any:
        longer = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * copies), batch)
        present, *given = (
            jnp.concatenate([a] * copies, axis=1) for a in (rows, mean, log_variance)
        )
        return modis.vae_terms(
            config, toy.spec, longer, present, given[0], given[1], longer.x, hyper
        )

    one, two = (terms(toy.config, copies, modis.Hyper())[1]["kl"] for copies in (1, 2))
    np.testing.assert_allclose([one, two], [closed.sum(), 2 * closed.sum()], rtol=1e-5)
    averaged = modis.Config(kl_reduction="mean")
    for copies in (1, 2):
        found = terms(averaged, copies, modis.Hyper())[1]["kl"]
        np.testing.assert_allclose(found, closed.sum() / 3, rtol=1e-5)
    weighted = modis.Hyper(kl_weight=0.5, view_kl_weight={"drug": 2.0})
    total = terms(toy.config, 1, weighted)[0]
    np.testing.assert_allclose(total, 0.5 * closed[0] + 2.0 * closed[1], rtol=1e-5)


def test_weights_of_terms_and_classes(toy: Toy):
    draw = np.random.default_rng(2)
    hidden, logits = (jnp.asarray(draw.normal(size=(2, 6, n)), jnp.float32) for n in (4, 3))
    batch = gather(toy.data, toy.standard, jnp.arange(6), jnp.ones(6))

    terms = jax.jit(partial(modis.class_terms, toy.spec))

    def total(**weights: Any) -> tuple[float, dict[str, Any]]:
        hyper = floats(modis.Hyper(**weights))
        found, parts = terms(batch, hidden, logits, jnp.ones((2, 6)), hyper)
        return float(found), parts

    plain, parts = total()
    assert plain == pytest.approx(float(parts["class"] + parts["clustering"]), rel=1e-5)
    without, _ = total(entropy_weight=0.0)
    assert plain - without == pytest.approx(float(parts["usage"]), rel=1e-4)
    only, _ = total(clustering_weight=0.0, classification_weight=3.0)
    assert only == pytest.approx(3 * float(parts["class"]), rel=1e-5)
    shares = jax.nn.softmax(logits)
    pairs = np.mean([s[a] @ s[b] for s in np.asarray(shares) for a in range(6) for b in range(a)])
    more, _ = total(orthogonality_weight=1.0)
    assert more - plain == pytest.approx(2 * float(pairs), rel=1e-4)
    rare, _ = total(clustering_weight=0.0, class_weight={"a": 1.0, "b": 0.0, "c": 0.0})
    errors = -np.log(np.asarray(shares))[:, np.arange(6) % 3 == 0, 0]
    assert rare == pytest.approx(float(errors.mean(axis=1).sum()), rel=1e-4)


def test_tasks(toy: Toy, runs: list[tuple[TrainState, Any]]):
    state = runs[0][0]
    both: Data = toy.data.replace(
        x={v: x.at[0].set(0.3) for v, x in toy.data.x.items()},
        observed={v: o.at[0].set(True) for v, o in toy.data.observed.items()},
    )
    batch = gather(both, toy.standard, jnp.array([0, 1, 20]), jnp.ones(3))
    stored = state.params, state.collections
    tasks: Any = toy.model.tasks

    @jax.jit
    def ask(batch: Batch) -> Any:
        views, (mean, variance) = tasks.views(*stored, batch), tasks.encode(*stored, batch)
        return views, mean, variance, tasks.classify(*stored, batch)

    views, mean, variance, logits = ask(batch)
    rna, drug = views["rna"], views["drug"]
    for found, i in ((mean, 0), (variance, 1)):
        expected = [(rna[i][0] + drug[i][0]) / 2, rna[i][1], drug[i][2]]
        np.testing.assert_allclose(found, np.stack(expected), rtol=1e-5)
    np.testing.assert_allclose(logits["rna"], tasks.judge(*stored, rna[0]), rtol=1e-4, atol=1e-5)
    # One view's answers do not depend on another view.
    other = batch.replace(x=batch.x | {"drug": batch.x["drug"] + 1.0})
    changed = ask(other)
    np.testing.assert_array_equal(changed[3]["rna"], logits["rna"])
    assert not np.array_equal(changed[3]["drug"], logits["drug"])
    output = tasks.decode(*stored, mean, batch.conditionals["rna"])
    assert {name: x.shape for name, x in output.items()} == {"rna": (3, 6), "drug": (3, 4)}
    assert all(float(x.min()) > 0 and float(x.max()) < 1 for x in output.values())
