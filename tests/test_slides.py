"""Slides of unequal numbers of tiles to bulk profiles."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.data.batch import DataSpec, Standard, ViewSpec, gather, make_data
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.models import tiles
from jaxomics.slides import Slides, imputation_scores, impute_slides, read_slides

SPEC = DataSpec((ViewSpec("tiles", 12), ViewSpec("rna", 4)))
WIDE = tiles.Config(("tiles",), ("rna",), width=3, hidden=(5,))


@pytest.fixture(scope="module")
def cohort() -> tuple[Slides, pd.DataFrame]:
    """48 slides of 2 to 6 tiles; genes follow the average of a nonlinear function of tiles."""
    random = np.random.default_rng(0)
    bags = random.normal(size=(48, 6, 3)).astype(np.float32)
    bags += random.normal(size=(48, 1, 3)).astype(np.float32)
    for number, bag in enumerate(bags):
        bag[2 + number % 5 :] = np.nan
    hidden = np.nanmean(np.maximum(bags @ random.normal(size=(3, 6)), 0), axis=1)
    names = pd.Index([f"s{i:02d}" for i in range(48)], name="sample")
    rna = pd.DataFrame(7 + 3 * hidden @ random.normal(size=(6, 8)), names).add_prefix("g")
    return Slides(names, bags), rna


def test_both_methods_predict_slides_that_they_have_not_seen(cohort):
    slides, rna = cohort
    options = {"folds": 3, "config": tiles.Config(hidden=(16,))}
    for method in ("ridge", "mlp"):
        train = Train(epochs=60, batch_size=8, schedule="cosine")
        hyper = tiles.Hyper(learning_rate=0.02, dropout=0.0)
        made = impute_slides(slides, rna[:45], method, train=train, hyper=hyper, **options)
        assert list(made.index) == list(slides.samples)
        assert not made.isna().any(axis=None)
        assert imputation_scores(rna[:45], made)["gene_mean"] > 0.6
        assert imputation_scores(rna[45:], made)["sample_mean"] > 0.6


def test_padding_and_the_order_of_tiles_do_not_matter():
    random = np.random.default_rng(1)
    bags = random.normal(size=(2, 4, 3)).astype(np.float32)
    bags[0, 2:] = np.nan
    model = tiles.build(WIDE, SPEC)
    standard = Standard(
        {"tiles": jnp.zeros(12), "rna": jnp.zeros(4)}, {"tiles": jnp.ones(12), "rna": jnp.ones(4)}
    )

    @jax.jit
    def run(batch):
        params = model.init(jax.random.key(0), batch).params
        return model.tasks.translate(params, {}, batch)

    def predict(array):
        data = make_data({"tiles": array.reshape(2, -1), "rna": np.zeros((2, 4))})
        batch = gather(data, standard, jnp.arange(2), jnp.ones(2))
        return np.asarray(run(batch)["rna"])

    expected = predict(bags)
    np.testing.assert_allclose(predict(bags[:, ::-1].copy()), expected, rtol=1e-5)
    alone = np.concatenate([bags[:1, :2], bags[:1, :2]], axis=1)
    np.testing.assert_allclose(
        predict(np.concatenate([alone, bags[1:]]))[0], expected[0], rtol=1e-5
    )


def test_the_loss_of_every_tile_equals_that_of_the_average_on_single_tiles():
    random = np.random.default_rng(2)
    spec = DataSpec((ViewSpec("tiles", 3), ViewSpec("rna", 4)))
    data = make_data({"tiles": random.normal(size=(5, 3)), "rna": random.normal(size=(5, 4))})
    standard = Standard(
        {"tiles": jnp.zeros(3), "rna": jnp.zeros(4)}, {"tiles": jnp.ones(3), "rna": jnp.ones(4)}
    )
    batch, losses = gather(data, standard, jnp.arange(5), jnp.ones(5)), []
    for each in (False, True):
        model = tiles.build(tiles.Config(("tiles",), ("rna",), 3, (5,), each), spec)

        @jax.jit
        def loss(batch, model=model):
            params = model.init(jax.random.key(0), batch).params
            run = model.players[0].loss
            return run(params, {}, batch, jax.random.key(1), tiles.Hyper(), train=False)[0]

        losses.append(loss(batch))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_slides_are_read_and_thinned(tmp_path: Path):
    np.savez(tmp_path / "a.npz", tiles=np.ones((5, 2)), other=np.zeros(3))
    np.save(tmp_path / "b.npy", np.arange(40.0).reshape(20, 2))
    slides = read_slides(tmp_path, tiles=8)
    assert list(slides.samples) == ["a", "b"]
    assert slides.bags.shape == (2, 8, 2)
    assert np.isnan(slides.bags[0]).all(axis=1).sum() == 3
    np.testing.assert_allclose(slides.means().loc["a"], 1.0)
    assert (np.diff(slides.bags[1][:, 0]) > 0).all()


def test_the_command_writes_a_view(tmp_path: Path, cohort, capsys):
    slides, rna = cohort
    (tmp_path / "slides").mkdir()
    for name, bag in zip(slides.samples, slides.bags, strict=True):
        np.savez(tmp_path / "slides" / f"{name}.npz", bag[~np.isnan(bag[:, 0])])
    rna.to_csv(tmp_path / "rna.csv")
    words = ["slides", str(tmp_path / "slides"), "--rna", str(tmp_path / "rna.csv")]
    words += ["--method", "ridge", "--out", str(tmp_path / "imputed.parquet")]
    assert main(words) == 0
    assert "spearman_by_gene" in capsys.readouterr().out
    assert pd.read_parquet(tmp_path / "imputed.parquet").shape == (48, 9)
    assert main([*words, "--group", "donor"]) == 2


def test_what_cannot_be_read_is_told(tmp_path: Path, cohort):
    slides, rna = cohort
    with pytest.raises(InputError, match="found none"):
        read_slides(tmp_path)
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(InputError, match="found shape"):
        read_slides(tmp_path)
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    np.save(tmp_path / "b.npy", np.ones((3, 4)))
    with pytest.raises(InputError, match="one width"):
        read_slides(tmp_path)
    with pytest.raises(InputError, match="different donors"):
        impute_slides(slides, rna.add_prefix("x").rename(index="x{}".format))
    with pytest.raises(InputError, match="whole tiles"):
        tiles.build(tiles.Config(("tiles",), ("rna",), width=5), SPEC)
