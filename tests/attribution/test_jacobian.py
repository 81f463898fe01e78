"""All outputs at once: two ways to one number, on random networks and on every model there is."""

import re
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.attribution.jacobian import Bottleneck, Points, by_latent, by_outputs, cheaper
from jaxomics.attribution.precision import as_double, double
from jaxomics.attribution.quadrature import nodes
from jaxomics.attribution.targets import CONDITIONALS, Network, bottleneck, resolve
from jaxomics.data.batch import DataSpec, Link, Standard, ViewSpec, gather, make_data
from jaxomics.errors import InputError
from jaxomics.models.registry import MODELS
from jaxomics.presets import PRESETS

few = settings(max_examples=8, deadline=None)
SIZES = {"rna": 5, "drug": 4, CONDITIONALS: 2}
LATENT, OUTPUTS = 3, 6


def points_between(start: Any, x: Any, t: np.ndarray, weight: np.ndarray) -> Points:
    """Points on the straight path from one sample to another."""
    at = jax.tree.map(lambda a, b: a[None] + np.outer(t, b - a).astype(b.dtype), start, x)
    step = jax.tree.map(lambda a, b: np.broadcast_to(b - a, (len(t), len(b))), start, x)
    return Points(at, step, np.asarray(weight, jax.tree.leaves(x)[0].dtype))


def random_points(seed: int, count: int = 4, dtype: Any = np.float32) -> Points:
    """Points, displacements and weights of any kind."""
    draw = np.random.default_rng(seed)
    normal = {
        name: [draw.normal(size=(count, size)).astype(dtype) for _ in "ab"]
        for name, size in SIZES.items()
    }
    at, step = ({name: pair[i] for name, pair in normal.items()} for i in (0, 1))
    return Points(at, step, draw.random(count).astype(dtype))


LINKED = {
    "rna": np.array([2, -1, 0, 1, 2, 4], np.int32),
    "drug": np.array([-1, 3, -1, 0, -1, 1], np.int32),
}


def coder(*, beside: bool = True, stop: bool = False) -> Bottleneck:
    """A small network.

    Args:
      beside: with a side input, and features that reach outputs directly.
      stop: show the decoder's last hidden layer.
    """

    def encode(w: Any, x: Any) -> jax.Array:
        return jnp.tanh(sum(x[name] @ w[name] for name in SIZES))

    def hidden(w: Any, z: Any, side: Any) -> jax.Array:
        return jnp.tanh(z @ w["write"] + sum(x @ w["side"] for x in side.values()) * z[0])

    def readout(w: Any, values: Any) -> jax.Array:
        return w["out"].T @ values

    def decode(w: Any, z: Any, side: Any) -> jax.Array:
        return readout(w, hidden(w, z, side)) + 0.5

    def direct(w: Any, x: Any) -> jax.Array:
        read = sum(jnp.where(c >= 0, x[name][c] ** 2, 0.0) for name, c in LINKED.items())
        return w["link"] * read

    added = {"side": (CONDITIONALS,), "direct": direct, "partners": LINKED} if beside else {}
    ended = {"hidden": hidden, "readout": readout} if stop else {}
    return Bottleneck(encode, decode, OUTPUTS, **added, **ended)


def weights(seed: int) -> Any:
    """Parameters of `coder`."""
    draw = np.random.default_rng(seed)
    shapes = {name: (size, LATENT) for name, size in SIZES.items()}
    shapes |= {"write": (LATENT, 4), "side": (2, 4), "out": (4, OUTPUTS), "link": (OUTPUTS,)}
    return {n: np.float32(draw.normal(size=shape) / 2) for n, shape in shapes.items()}


CODERS = {"full": coder(), "plain": coder(beside=False), "stopped": coder(stop=True)}
FULL = CODERS["full"]


def both_ways(name: str) -> Any:
    """The two ways in one program, compiled once: (network, points, active) to two results."""
    return _both_ways(name, jax.config.read("jax_enable_x64"))


@lru_cache
def _both_ways(name: str, double: bool) -> Any:
    question = CODERS[name] if name in CODERS else question_of(name, double)[0]

    @jax.jit
    def run(network: Any, points: Points, active: Any = None) -> Any:
        through = by_latent(question, network, points, active=active)
        return through, by_outputs(question.whole, network, points)

    return run


def close(found: Any, expected: Any, tolerance: float) -> None:
    """Equal up to a share of the largest number."""
    assert list(found) == list(expected)
    for name, leaf in expected.items():
        size = max(float(np.abs(leaf).max()), 1.0)
        np.testing.assert_allclose(found[name], leaf, rtol=0, atol=tolerance * size, err_msg=name)


# Closed forms


def test_a_linear_function_gives_weight_times_displacement():
    matrix, points = np.arange(10.0, dtype=np.float32).reshape(2, 5), random_points(0)
    found = by_outputs(lambda w, x: w @ x["rna"] + x["drug"][:1], matrix, points)
    moved = {n: np.asarray(points.weight @ step) for n, step in points.step.items()}
    np.testing.assert_allclose(found["rna"], matrix * moved["rna"], rtol=1e-5)
    expected = np.zeros((2, 4))
    expected[:, 0] = moved["drug"][0]
    np.testing.assert_allclose(found["drug"], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[CONDITIONALS], np.zeros((2, 2)))


def test_gauss_nodes_account_for_the_whole_change():
    with double():
        draw = np.random.default_rng(1)
        start, x = ({n: draw.normal(size=s) for n, s in SIZES.items()} for _ in "ab")
        w, points = as_double(weights(1)), points_between(start, x, *nodes("gauss", 40))
        total = sum(
            np.asarray(leaf).sum(axis=1) for leaf in both_ways("full")(w, points)[0].values()
        )
        np.testing.assert_allclose(total, FULL.whole(w, x) - FULL.whole(w, start), atol=1e-8)


# Two ways


@few
@given(seed=st.integers(0, 10**6), name=st.sampled_from(list(CODERS)))
def test_through_the_latent_or_output_by_output(seed: int, name: str):
    w, points = weights(seed), random_points(seed)
    close(*both_ways(name)(w, points), 1e-5)
    with double():
        close(*both_ways(name)(*as_double((w, points))), 1e-10)


@pytest.mark.parametrize("name", ["full", "stopped"])
def test_rows_of_the_latent_come_first(name: str):
    w, points = weights(2), random_points(2)
    found = jax.jit(partial(by_latent, CODERS[name], latents=True))(w, points)
    encoded = jax.jit(partial(by_outputs, FULL.encode))(w, points)
    close({n: leaf[:LATENT] for n, leaf in found.items()}, encoded, 1e-5)
    written = both_ways("full")(w, points)[0]
    close({n: leaf[LATENT:] for n, leaf in found.items()}, written, 1e-5)
    none = CODERS[name]._replace(outputs=0, direct=None)
    close(jax.jit(partial(by_latent, none, latents=True))(w, points), encoded, 1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 99])
def test_chunks_change_nothing(chunk: int):
    w, points = weights(3), random_points(3)
    through, one_by_one = both_ways("full")(w, points)
    close(jax.jit(partial(by_latent, FULL, chunk=chunk))(w, points), through, 1e-6)
    close(jax.jit(partial(by_outputs, FULL.whole, chunk=chunk))(w, points), one_by_one, 1e-6)


def test_a_chunk_of_nothing_is_refused():
    w, points = weights(3), random_points(3)
    with pytest.raises(InputError, match="expected chunk of 1 or more, found 0"):
        by_latent(FULL, w, points, chunk=0)
    with pytest.raises(InputError, match="expected chunk of 1 or more, found 0"):
        by_outputs(FULL.whole, w, points, chunk=0)


def test_members_of_an_ensemble_go_at_once():
    members, points = [weights(4), weights(5)], random_points(4)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    found = jax.jit(jax.vmap(partial(by_latent, FULL), (0, None)))(stacked, points)
    for i, w in enumerate(members):
        close({n: leaf[i] for n, leaf in found.items()}, both_ways("full")(w, points)[0], 1e-6)


# What it costs


def test_the_latent_pays_for_many_outputs_and_not_for_one():
    def network(outputs: int, latent: int = 8, features: int = 50) -> tuple[Bottleneck, Any, Any]:
        w = {"read": jnp.ones((features, latent)), "write": jnp.ones((latent, outputs))}
        bottle = Bottleneck(
            lambda w, x: jnp.tanh(x["rna"] @ w["read"]), lambda w, z, _: z @ w["write"], outputs
        )
        return bottle, w, {"rna": jnp.ones(features)}

    assert cheaper(*network(400))
    assert not cheaper(*network(1))


# Every model


SMALL: dict[str, Any] = {"latent": 3, "hidden": (6,), "view_latent": 4}
CONFIGS = {
    f"{name} {preset}": chosen.config
    for name, presets in PRESETS.items()
    for preset, chosen in presets.items()
    if "explain" in MODELS[name].verbs and not getattr(chosen.config, "tell_decoder", False)
}
PAIRS = ("jamie",)
"""Models of two views; the others are given three."""
FEATURES = {"rna": tuple("abcdef"), "drug": tuple("pqrs"), "crispr": tuple("cxaby")}
VIEWS = ("view:rna", "view:drug", "feature:crispr/a")
ABSENT: dict[str, tuple[str, ...]] = {
    "none": (),
    "drug": ("drug",),
    "rna, crispr": ("rna", "crispr"),
}


def small_spec(name: str, told: bool) -> DataSpec:
    """Three views that share genes; encoders of models that are told nothing read some columns."""
    read = None if told else (0, 2, 3)
    views = [ViewSpec("rna", 6, read), ViewSpec("drug", 4), ViewSpec("crispr", 5)]
    if name.startswith(PAIRS):
        return DataSpec(tuple(views[:2]), 2, ("left", "right"))
    links = (Link("crispr", "rna", (0, 2, 3), (2, 0, 1)), Link("rna", "crispr", (2, 0), (0, 2)))
    return DataSpec(tuple(views), 2, ("left", "right"), links)


@lru_cache
def question_of(name: str, double: bool) -> tuple[Bottleneck, Network, Any]:
    """What a model is asked, a network with parameters of no special values, and 4 samples.

    In float64 its decoders stop before their last layers, and views meet in codes, where they do.
    """
    config = CONFIGS[name]
    fields = {k: v for k, v in SMALL.items() if k in type(config).__dataclass_fields__}
    draw = np.random.default_rng(0)
    spec = small_spec(name, bool(getattr(config, "presence", False)))
    values = {v.name: draw.normal(size=(4, v.features)).astype(np.float32) for v in spec.views}
    data = make_data(values, draw.random((4, 2)).astype(np.float32), np.array([0, 1, 0, 1]))
    standard = Standard(
        *({n: jnp.full(v.shape[1], c) for n, v in values.items()} for c in (0.0, 1.0))
    )
    model = MODELS[name.partition(" ")[0]].build(replace(config, **fields), spec)
    variables = jax.jit(model.init)(
        jax.random.key(0), gather(data, standard, jnp.arange(4), jnp.ones(4))
    )
    params = jax.tree.map(
        lambda p: p + 0.3 * draw.normal(size=p.shape).astype(np.float32), variables.params
    )
    known = {v.name: FEATURES[v.name] for v in spec.views}
    asked = [resolve(t, known, 3) for t in VIEWS if re.split("[:/]", t)[1] in known]
    x = jax.tree.map(np.asarray, data.x | {CONDITIONALS: data.conditionals})
    stop, codes = double and model.tasks.hidden is not None, model.tasks.codes is not None
    question = bottleneck(model, spec, asked, stop=stop, codes=stop and codes)
    return question, Network(params, variables.collections, {}), x


def make_case(name: str, absent: str, *, told: bool) -> tuple[Network, Any, Any]:
    """A network, a sample without some views, unobserved or zeros to it, and a background."""
    _, network, samples = question_of(name, jax.config.read("jax_enable_x64"))
    x = {
        n: leaf[0] * (np.arange(leaf.shape[1]) > 0) * (n not in ABSENT[absent])
        for n, leaf in samples.items()
    }
    observed = {
        n: (leaf != 0.0) if told else np.ones(leaf.shape, bool)
        for n, leaf in x.items()
        if n != CONDITIONALS
    }
    background = {n: leaf[1:] for n, leaf in samples.items()}
    return network._replace(observed=observed), x, background


def paths(x: Any, background: Any) -> Points:
    """Points between a sample and each of a background."""
    found = [
        points_between({n: b[i] for n, b in background.items()}, x, *nodes("gauss", 2))
        for i in range(3)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


@pytest.mark.parametrize("told", [True, False], ids=["absent", "zeros"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_goes_both_ways(name: str, told: bool):
    for absent in ABSENT:
        network, x, background = make_case(name, absent, told=told)
        points = paths(x, background)
        seen = {n: np.any(network.observed.get(n, True)) for n in x}
        through, one_by_one = both_ways(name)(network, points, dict.fromkeys(x, np.True_))
        close(through, one_by_one, 1e-5)
        # The encoder of an absent view still reads conditionals, unless it is silenced.
        if getattr(CONFIGS[name], "presence", False):
            skipping, _ = both_ways(name)(network, points, seen)
            close(skipping, through, 1e-6)
        for view in set(FEATURES) & set(through):
            moved = float(np.abs(through[view]).max()) > 0
            assert moved != (told and view in ABSENT[absent]), (absent, view)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_goes_both_ways_in_float64(name: str):
    with double():
        network, x, background = as_double(make_case(name, "drug", told=True))
        found = both_ways(name)(network, paths(x, background))
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(found))
        close(*found, 1e-10)
