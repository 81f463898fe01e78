import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.latent_covariates import correlate_latent


def test_correlations_are_scipys_over_known_samples_and_corrected_within_a_covariate():
    random = np.random.default_rng(0)
    latent = pd.DataFrame(random.normal(size=(40, 3)), columns=["z0", "z1", "z2"])
    age = pd.Series(latent["z1"] + random.normal(size=40)).where(np.arange(40) > 9)
    known = pd.DataFrame({"age": age, "constant": 1.0, "rare": age.where(np.arange(40) > 30)})
    found = correlate_latent(latent, known)
    assert set(found["covariate"]) == {"age"}
    assert (found["n"] == 30).all()
    assert found["dimension"].iloc[0] == "z1"
    for row in found.itertuples():
        z, y = latent[row.dimension].to_numpy()[10:], age.to_numpy()[10:]
        assert (row.r, row.p) == pytest.approx(tuple(stats.pearsonr(z, y)))
        assert row.spearman == pytest.approx(stats.spearmanr(z, y)[0])
    np.testing.assert_allclose(found["fdr"], stats.false_discovery_control(found["p"]))
    assert "rare" in set(correlate_latent(latent, known, min_pairs=5)["covariate"])
    with pytest.raises(InputError, match="named alike"):
        correlate_latent(latent, known.add_prefix("x").set_axis(range(40, 80)))
