"""Questions about a model: what they name, and that they ask for what the verbs give."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.attribution.targets import (
    CONDITIONALS,
    Network,
    Target,
    bottleneck,
    partners,
    resolve,
)
from jaxomics.data.batch import DataSpec, Link, Standard, ViewSpec, gather, make_data
from jaxomics.errors import InputError
from jaxomics.inference.cohort import Member, complete, encode
from jaxomics.models import mosa
from jaxomics.presets.mosa import PAPER, RECOMMENDED

FEATURES = {"rna": ["TP53", "KRAS", "RAS/MAPK"], "drug": ["nutlin-3", "afatinib"]}


@pytest.mark.parametrize(
    ("text", "names", "columns"),
    [
        ("latent", ["z0", "z1", "z2", "z3"], [0, 1, 2, 3]),
        ("latent:2", ["z2"], [2]),
        ("view:drug", ["drug/nutlin-3", "drug/afatinib"], [0, 1]),
        ("feature:rna/KRAS", ["rna/KRAS"], [1]),
        ("feature:rna/RAS/MAPK", ["rna/RAS/MAPK"], [2]),
    ],
)
def test_a_text_names_outputs(text: str, names: list[str], columns: list[int]):
    target = resolve(text, FEATURES, latent=4)
    assert target.text == text
    assert list(target.names) == names
    assert target.columns.tolist() == columns
    assert (target.kind, target.view is None) == (
        ("latent", True) if text.startswith("latent") else ("view", False)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latnt", "unknown target 'latnt'; did you mean 'latent'"),
        ("views:drug", "unknown target 'views:drug'; did you mean 'view:drug'"),
        ("view", "unknown target 'view'"),
        ("view:", "unknown target 'view:'"),
        ("", "unknown target ''"),
        ("view:drugs", "unknown view of this model 'drugs'; did you mean 'drug'"),
        ("feature:dru/nutlin-3", "unknown view of this model 'dru'; did you mean 'drug'"),
        ("feature:drug/nutlin", "unknown feature of view 'drug' 'nutlin'; did you mean 'nutlin-3'"),
        ("feature:drug", "unknown feature of view 'drug' ''"),
        ("latent:4", "expected a latent from 0 to 3, found '4'"),
        ("latent:-1", "expected a latent from 0 to 3, found '-1'"),
        ("latent:z1", "expected a latent from 0 to 3, found 'z1'"),
        ("class:BRCA", "expected a model with classes"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(text: str, message: str):
    with pytest.raises(InputError) as error:
        resolve(text, FEATURES, latent=4)
    assert message in str(error.value)


def test_partners_are_the_features_of_the_same_name():
    views = (ViewSpec("rna", 3), ViewSpec("drug", 2), ViewSpec("crispr", 4))
    links = (
        Link("crispr", "rna", (1, 3), (0, 2)),
        Link("rna", "crispr", (0, 2), (1, 3)),
        Link("crispr", "drug", (0,), (1,)),
    )
    spec = DataSpec(views, links=links)
    crispr = Target("view:crispr", "view", tuple("abcd"), "crispr", np.arange(4))
    rna = Target("feature:rna/c", "view", ("c",), "rna", np.array([2]))
    latent = Target("latent", "latent", ("z0",), None, np.array([0]))
    found = {name: c.tolist() for name, c in partners(spec, [latent, crispr, rna]).items()}
    assert found == {
        "rna": [-1, 0, -1, 2, -1],
        "crispr": [-1, -1, -1, -1, 3],
        "drug": [1, -1, -1, -1, -1],
    }
    assert partners(spec, [latent]) == {}


VIEWS = {"rna": 5, "drug": 4}


def case(config: mosa.Config, *, decimals: int | None = None) -> tuple[Any, ...]:
    """A small model with parameters of no special values, and samples with holes."""
    draw = np.random.default_rng(0)
    links = (Link("drug", "rna", (0, 3), (4, 1)),) if config.links else ()
    spec = DataSpec((ViewSpec("rna", 5, (0, 1, 4)), ViewSpec("drug", 4)), 2, links=links)
    values = {n: draw.normal(size=(3, k)).astype(np.float32) * 2 for n, k in VIEWS.items()}
    values["drug"][0] = np.nan
    values["rna"][1, 1:3] = np.nan
    data = make_data(values, draw.random((3, 2)).astype(np.float32))
    standard = Standard(
        {n: jnp.asarray(draw.normal(size=k), jnp.float32) for n, k in VIEWS.items()},
        {n: jnp.asarray(draw.uniform(1, 2, size=k), jnp.float32) for n, k in VIEWS.items()},
        decimals,
    )
    model = mosa.build(replace(config, latent=3, hidden=(6.0,), view_latent=4), spec)
    return spec, data, standard, model, draw


@pytest.mark.parametrize("config", [PAPER.config, RECOMMENDED.config], ids=["paper", "recommended"])
def test_outputs_are_those_of_the_verbs(config: mosa.Config):
    spec, data, standard, model, draw = case(config, decimals=2)
    x = {
        n: jnp.where(data.observed[n], standard.apply(n, values), 0.0)
        for n, values in data.x.items()
    }
    asked = [resolve(text, {n: list("abcde")[:k] for n, k in VIEWS.items()}, 3) for text in (
        "view:drug", "feature:rna/c",
    )]  # fmt: skip
    question = bottleneck(model, spec, asked)
    batch = gather(data, standard, jnp.arange(3), jnp.ones(3))
    params = jax.jit(model.init)(jax.random.key(0), batch).params
    params = jax.tree.map(lambda p: p + 0.3 * draw.normal(size=p.shape).astype(np.float32), params)
    member = Member(params, {})
    views = complete(model, [member], data, standard)
    mean, _ = encode(model, member, data, standard)
    rows = x | {CONDITIONALS: data.conditionals}

    @jax.jit
    @jax.vmap
    def explained(x: Any, observed: Any) -> Any:
        network = Network(params, {}, observed)
        return question.whole(network, x), question.encode(network, x)

    outputs, z = explained(rows, data.observed)
    np.testing.assert_allclose(z, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs[:, :4], views["drug"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs[:, 4], views["rna"][:, 2], rtol=1e-5, atol=1e-6)
    assert question.outputs == 5
    assert (question.direct is not None) == config.links


def test_a_model_without_latent_cannot_be_asked():
    spec, _, _, model, _ = case(PAPER.config)
    with pytest.raises(InputError, match="no latent space that decodes"):
        bottleneck(model._replace(tasks=model.tasks._replace(decode=None)), spec, [])
