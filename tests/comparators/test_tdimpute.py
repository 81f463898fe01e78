import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.comparators import registry, tdimpute
from jaxomics.comparators.tdimpute import Config, Network, batch_rmse, straddling_plan
from jaxomics.errors import InputError

SMALL = Config(targets=("rna",), hidden=64, learning_rate=3e-3, epochs=60, batch_size=16)


def pairs(seed=0, samples=80, shift=0.0):
    """Methylation in (0, 1) and expression above 0 that depends on it."""
    random = np.random.default_rng(seed)
    effects = random.normal(size=(10, 5))
    methylation = random.random((samples, 10))
    rna = 6 + shift + 2 * (methylation - 0.5) @ effects
    return {"methylation": methylation, "rna": rna}


def test_the_loss_is_the_root_of_the_mean_over_the_whole_batch():
    network = Network(*(jnp.zeros(shape) for shape in ((2, 3), (3,), (3, 2), (2,))))
    y = jnp.array([[0.5, 0.1], [0.5, jnp.nan]])  # outputs are 0.5 throughout
    loss = batch_rmse(network, jnp.ones((2, 2)), y)
    assert float(loss) == pytest.approx(np.sqrt(0.4**2 / 3), rel=1e-5)


def test_batches_straddle_epochs_and_use_every_sample_equally():
    plan = straddling_plan(np.random.default_rng(0), samples=10, epochs=6, batch_size=4)
    assert plan.shape == (15, 4)
    line = plan.ravel()
    for epoch in range(6):
        assert sorted(line[10 * epoch : 10 * epoch + 10]) == list(range(10))


def test_it_learns_and_stays_within_its_range():
    views = pairs()
    fitted = registry.get("tdimpute").fit(views, config=SMALL)
    new = pairs(0, 120)
    predicted = fitted.reconstruct({"methylation": new["methylation"]})["rna"]
    r = [np.corrcoef(predicted[80:, g], new["rna"][80:, g])[0, 1] for g in range(5)]
    assert np.median(r) > 0.7
    assert predicted.min() >= 0
    assert predicted.max() <= views["rna"].max() + 1e-3


def test_tuning_moves_towards_the_samples_of_interest_and_keeps_units():
    pooled, own = pairs(), pairs(0, 40, shift=-2.0)
    fitted = registry.get("tdimpute").fit(pooled, config=SMALL)
    tuned = tdimpute.tune(fitted, own, config=SMALL)
    errors = [
        np.abs(fit.reconstruct({"methylation": own["methylation"]})["rna"] - own["rna"]).mean()
        for fit in (fitted, tuned)
    ]
    assert errors[1] < 0.6 * errors[0]
    assert tuned.state["own/scale/rna"] == fitted.state["own/scale/rna"]
    assert tuned.layout is fitted.layout


def test_constant_targets_are_written_as_they_are_until_tuning_moves_them():
    views = pairs()
    views["rna"][:, :2] = 4.0
    fitted = registry.get("tdimpute").fit(views, config=SMALL)
    sources = {"methylation": pairs(1)["methylation"]}
    np.testing.assert_allclose(fitted.reconstruct(sources)["rna"][:, :2], 4.0, rtol=1e-9)
    views["rna"][:9, 0] = 5.0
    tuned = tdimpute.tune(fitted, views, config=SMALL).reconstruct(sources)["rna"]
    assert np.ptp(tuned[:, 0]) > 0
    np.testing.assert_allclose(tuned[:, 1], 4.0, rtol=1e-9)


def test_only_its_own_fits_are_tuned_and_on_some_samples():
    views = pairs()
    with pytest.raises(InputError, match="found 'mean'"):
        tdimpute.tune(registry.get("mean").fit(views), views)
    fitted = registry.get("tdimpute").fit(views, config=SMALL)
    with pytest.raises(InputError, match="found none"):
        tdimpute.tune(fitted, {"methylation": views["methylation"]})
