"""The Huber loss against SciPy's, and its two reductions."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxomics.losses.huber import huber, huber_loss


def test_huber_equals_scipy():
    residual = np.linspace(-3, 3, 25)
    np.testing.assert_allclose(
        huber(jnp.asarray(residual), 0.7), special.huber(0.7, residual), rtol=1e-5
    )


def test_reductions_leave_out_what_was_not_observed():
    rng = np.random.default_rng(0)
    output, target = rng.normal(size=(2, 4, 5)) * 2
    observed, weight = rng.random((4, 5)) < 0.7, np.array([1.0, 1.0, 0.0, 1.0])
    given = [jnp.asarray(a, jnp.float32) for a in (output, target)]
    given += [jnp.asarray(observed), jnp.asarray(weight)]
    errors = special.huber(1.0, output - target) * observed * weight[:, None]
    summed = huber_loss(*given, 1.0)
    assert float(summed) == pytest.approx(errors.sum() / 3, rel=1e-5)
    mean = huber_loss(*given, 1.0, "mean")
    assert float(mean) == pytest.approx(errors.sum() / observed[weight > 0].sum(), rel=1e-5)
