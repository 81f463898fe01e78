"""The co-embedding: what moves in each term, both generators, one modality per step, bad input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, DataSpec, Standard, ViewSpec, gather_views, make_data
from jaxomics.errors import InputError
from jaxomics.models.atac import network_of
from jaxomics.models.base import Variables, stage_models
from jaxomics.models.bulk import VAE
from jaxomics.models.bulk_networks import StackVae
from jaxomics.models.coembed import Config, Hyper, build
from jaxomics.models.coembed_game import CRITIC, ENCODING, Critic, Game
from jaxomics.models.one_view import OneView

SPEC = DataSpec((ViewSpec("rna", 5), ViewSpec("atac", 4)), classes=("a", "b"))
SMALL: dict[str, Any] = {"hidden": (6,), "rna_hidden": (6,), "latent": 3, "norm": "layer"}


def game(**how: Any) -> Game:
    config = Config(**SMALL, **how)
    atac = OneView("atac", network_of(config, SPEC.views[1], None), "sum")
    rna = OneView("rna", StackVae(5, (6,), 3), "sum")
    return Game(config, 2, (atac, rna), Critic((4,)))


@pytest.fixture(scope="module")
def batch() -> Batch:
    rng = np.random.default_rng(0)
    views = {"rna": rng.normal(size=(12, 5)), "atac": rng.normal(size=(12, 4))}
    views["rna"][:4], views["atac"][8:] = np.nan, np.nan
    data = make_data(views, labels=np.arange(12) % 2)
    one = {name: jnp.ones(x.shape[1]) for name, x in views.items()}
    standard = Standard(jax.tree.map(jnp.zeros_like, one), one)
    rows = {"atac": jnp.array([0, 1, 2, 3, 4, 0]), "rna": jnp.array([8, 9, 10, 11, 5, 6])}
    return gather_views(data, standard, rows, jax.tree.map(lambda r: jnp.ones(len(r)), rows))


@pytest.fixture(scope="module")
def variables(batch: Batch) -> Variables:
    return jax.jit(game().init)(jax.random.key(0), batch)


def largest(tree: Any) -> float:
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_the_cycle_moves_decoders_and_no_encoder(batch: Batch, variables: Variables):
    own = game()
    slope = jax.jit(jax.grad(lambda p: own.cycle(p, variables.collections, batch)))(
        variables.params
    )
    assert set(slope[VAE]) == {"atac", "rna"}
    for parts in slope[VAE].values():
        for name, part in parts.items():
            assert (largest(part) == 0.0) == (name in ENCODING), name


def test_the_cycle_equals_its_definition(batch: Batch, variables: Variables):
    own = game()

    @jax.jit
    def both(variables: Variables) -> Any:
        z = {view: mean for view, (mean, _) in own.views(*variables, batch).items()}
        expected = jnp.zeros(())
        for here, there in (("atac", "rna"), ("rna", "atac")):
            written = own.decode(*variables, z[here], jnp.zeros((6, 0)))[there]
            again = batch.replace(x=batch.x | {there: written})
            back = own.views(*variables, again)[there][0]
            seen = jnp.any(batch.observed[here], axis=1)
            errors = jnp.mean((z[here] - back) ** 2, axis=1)
            expected += jnp.sum(errors * seen) / jnp.sum(seen)
        return own.cycle(*variables, batch), expected

    np.testing.assert_allclose(*both(variables), rtol=1e-5)


@pytest.mark.parametrize("generator", ["negated", "flipped"])
def test_generators(batch: Batch, variables: Variables, generator: Any):
    own, hyper = game(generator=generator), Hyper(adversarial_weight=2.0)
    z = tuple(own.views(*variables, batch)[side.name][0] for side in own.sides)
    found = own.alignment(variables.params, batch, z, jax.random.key(0), hyper, True)  # pyright: ignore
    logits = [np.asarray(own.critic.apply({"params": variables.params[CRITIC]}, m)) for m in z]
    atac, rna = logits
    named = np.mean(np.log1p(np.exp(-atac))) + np.mean(np.log1p(np.exp(rna)))
    passed = np.mean(np.log1p(np.exp(atac))) + np.mean(np.log1p(np.exp(-rna)))
    expected = {"negated": -named, "flipped": passed}[generator]
    assert float(found) == pytest.approx(2 * expected, rel=1e-5)


def test_a_contrastive_step_uses_exactly_one_modality(batch: Batch):
    own, hyper = game(alignment="contrastive"), Hyper()
    z = tuple(jax.random.normal(jax.random.key(i), (6, 3)) for i in range(2))

    @jax.jit
    @jax.vmap
    def sizes(key: Any) -> Any:
        slopes = jax.grad(lambda z: own.contrast(batch, z, key, hyper, True))(z)
        return jnp.stack([jnp.abs(s).max() for s in slopes])

    used = np.asarray(sizes(jax.random.split(jax.random.key(3), 40))) > 0
    assert (used.sum(axis=1) == 1).all()
    assert 8 < used[:, 0].sum() < 32


def test_matched_samples_are_drawn_together(batch: Batch):
    z = (jnp.zeros((6, 3)), jnp.ones((6, 3)) * jnp.arange(6)[:, None])
    found = game().pair(batch, z)
    assert float(found) == pytest.approx(np.mean(np.arange(6.0) ** 2))
    gone = batch.replace(weight=batch.weight | {"rna": jnp.zeros(6).at[2].set(1.0)})
    assert float(game().pair(gone, z)) == pytest.approx(4.0)


def test_before_the_alignment_each_view_is_drawn_by_itself():
    model = build(Config(**SMALL, pretrain=0.25), SPEC)
    first, last = stage_models(model)
    assert first.sampling.kind == "per_view"
    assert last.sampling.kind == "matched"
    assert last.sampling.views == ("atac", "rna")
    assert [player.updates for player in first.players] == [0, 1]
    assert [stage.share for stage in model.stages] == [0.25, 0.75]


def test_bad_input():
    with pytest.raises(InputError, match="one of RNA, found rna"):
        build(Config(), DataSpec((ViewSpec("rna", 5),)))
    with pytest.raises(InputError, match="view of RNA"):
        build(Config(rna="mirna"), SPEC)
    with pytest.raises(InputError, match="2 cohorts"):
        build(Config(alignment="contrastive"), DataSpec(SPEC.views))
    with pytest.raises(InputError, match="alignment"):
        Config(alignment="optimal")  # pyright: ignore
    with pytest.raises(InputError, match="pretrain"):
        Config(pretrain=1.0)
