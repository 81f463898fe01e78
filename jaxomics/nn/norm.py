"""Batch norm that leaves out padding and stands empty batches."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.types import Array


class BatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy 2015) of [b, features] with a weight per row.

    In training, rows are normalised by the statistics of the batch's rows of weight above 0, and
    the running statistics move towards them; with no such row these stay as they are. Otherwise
    rows are normalised by the running statistics, which begin as mean 0 and variance 1. The
    running variance is that of the rows at hand (divided by their number), where PyTorch keeps
    the unbiased one (their number less one).

    Attributes:
      epsilon: added to the variance.
      momentum: share of the running statistics that a step keeps; PyTorch calls its complement
        the momentum.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9

    @nn.compact
    def __call__(
        self, x: Array, weight: Array, *, train: bool, axis_name: str | None = None
    ) -> Array:
        """Return x normalised, scaled and shifted, [b, features].

        Args:
          x: [b, features].
          weight: [b], 0 leaves a row out of the statistics.
          train: normalise by the batch, and update the running statistics.
          axis_name: axis over which devices split the batch, if they do.
        """
        features = x.shape[1]
        scale = self.param("scale", nn.initializers.ones, (features,))
        shift = self.param("shift", nn.initializers.zeros, (features,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        variance = self.variable("batch_stats", "variance", jnp.ones, (features,))
        now = mean.value, variance.value
        if train:
            now, some = moments(x, weight, axis_name)
            if not self.is_initializing():
                keep = jnp.where(some, self.momentum, 1.0)
                mean.value = keep * mean.value + (1 - keep) * now[0]
                variance.value = keep * variance.value + (1 - keep) * now[1]
        factor = scale * jax.lax.rsqrt(now[1] + self.epsilon)
        return x * factor[None] + (shift - now[0] * factor)[None]


class NormedDense(nn.Module):
    """`Dense`, then `BatchNorm`: [b, inputs] to [b, features].

    In training a batch norm takes the layer's bias away again, so the bias has no gradient but
    rounding errors, which Adam would blow up to full steps. Here its gradient is 0.
    """

    features: int
    epsilon: float = 1e-5
    momentum: float = 0.9

    @nn.compact
    def __call__(
        self, x: Array, weight: Array, *, train: bool, axis_name: str | None = None
    ) -> Array:
        """Return the normalised layer; arguments as for `BatchNorm`."""
        bound = nn.initializers.constant(x.shape[1] ** -0.5)
        kernel = self.param("kernel", bound, (x.shape[1], self.features))
        bias = jax.lax.stop_gradient(self.param("bias", bound, (self.features,)))
        norm = BatchNorm(self.epsilon, self.momentum, name="norm")
        return norm(x @ kernel + bias[None], weight, train=train, axis_name=axis_name)


def moments(
    x: Array, weight: Array, axis_name: str | None = None
) -> tuple[tuple[Array, Array], Array]:
    """Return mean and variance [features] of weighted rows, and whether there are any.

    Without rows both are 0. The variance divides by the sum of the weights.

    >>> (mean, variance), some = moments(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([1.0, 1, 0]))
    >>> float(mean[0]), float(variance[0]), bool(some)
    (2.0, 1.0, True)
    """

    def total(values: Array) -> Array:
        summed = jnp.sum(values, axis=0)
        return summed if axis_name is None else jax.lax.psum(summed, axis_name)

    count = total(weight)
    share = weight / jnp.maximum(count, 1.0)
    mean = total(share[:, None] * x)
    # The variance is least about the mean, so it has no gradient in it.
    deviation = x - jax.lax.stop_gradient(mean)[None]
    variance = total(share[:, None] * deviation**2)
    return (mean, variance), count > 0
