"""Attributions of any function f(params, x): values, with their errors.

Methods are pure functions of one unbatched sample; `docs/attribution.md` tells which to take.
"""

from jaxomics.attribution.convergence import error_by_draws, gap_by_steps
from jaxomics.attribution.interactions import Interactions, integrated_hessians
from jaxomics.attribution.path import (
    Adaptive,
    Attribution,
    adaptive_integrated_gradients,
    expected_gradients,
    expected_gradients_at,
    gradient,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)
from jaxomics.attribution.precision import as_double, double
from jaxomics.attribution.quality import (
    deletion_curve,
    infidelity,
    insertion_curve,
    noise,
    removal,
    sensitivity_max,
)
from jaxomics.attribution.shapley import exact_shapley, sampled_shapley

__all__ = [
    "Adaptive",
    "Attribution",
    "Interactions",
    "adaptive_integrated_gradients",
    "as_double",
    "deletion_curve",
    "double",
    "error_by_draws",
    "exact_shapley",
    "expected_gradients",
    "expected_gradients_at",
    "gap_by_steps",
    "gradient",
    "infidelity",
    "input_x_gradient",
    "insertion_curve",
    "integrated_gradients",
    "integrated_hessians",
    "noise",
    "removal",
    "sampled_shapley",
    "sensitivity_max",
    "smooth_grad",
]
