"""The hierarchical VAE of peaks: a convolution along windows, then layers, and back.

Nagaraj et al. 2023. Each window of neighbouring peaks comes as the latent mean of a first network;
windows are a sequence along the genome, the numbers of a window its channels.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.models.bulk_networks import Norm, Posterior, Stack, StackVae, normed
from jaxomics.nn.mlp import Dense
from jaxomics.types import Array


class PlacedVae(StackVae):
    """A VAE of windows that is told which one it reads or writes, by a learned vector.

    Attributes:
      windows: how many there are.
      vector: length of the vector.
    """

    windows: int = 1
    vector: int = 16

    def setup(self) -> None:
        """Name the vectors `place`, beside the parts of the VAE."""
        super().setup()
        self.place = Dense(self.vector)

    def encode(
        self, x: Array, weight: Array, train: bool, place: Array | None = None
    ) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent], of x [b, features] of a window [b]."""
        return super().encode(self._beside(x, place), weight, train)

    def decode(self, z: Array, weight: Array, train: bool, place: Array | None = None) -> Array:
        """Return the reconstruction [b, features] of latents [b, latent] of a window [b]."""
        return super().decode(self._beside(z, place), weight, train)

    def _beside(self, x: Array, place: Array | None) -> Array:
        """Return x with the vectors of its windows; without a number that of the first one."""
        number = jnp.zeros(len(x), jnp.int32) if place is None else place
        return jnp.concatenate([x, self.place(jax.nn.one_hot(number, self.windows))], axis=1)


class Neighbours(nn.Module):
    """Convolution of kernel 3 along windows, zeros beyond both ends.

    Attributes:
      channels: of the output.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map [b, windows, inputs] to [b, windows, channels]."""
        ends = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
        windows = x.shape[1]
        read = [ends[:, shift : shift + windows] for shift in range(3)]
        return Dense(self.channels, name="linear")(jnp.concatenate(read, axis=2))


class ConvVae(nn.Module):
    """A VAE of a sequence of windows; the decoder mirrors the encoder.

    Attributes:
      windows: length of the sequence.
      inputs: numbers per window.
      channels: that the convolution makes of them.
      widths: of the layers between flattened channels and z.
      latent: size of z.
      norm: what follows each layer, the convolution too.
    """

    windows: int
    inputs: int
    channels: int
    widths: tuple[int, ...]
    latent: int
    norm: Norm

    def setup(self) -> None:
        """Name the parts, so that parameters read reader, encoder, posterior, decoder, writer."""
        self.reader = Neighbours(self.channels)
        self.read_norm = _Normed(self.norm)
        self.encoder = Stack(self.widths, self.norm)
        self.posterior = Posterior(self.latent)
        self.decoder = Stack((*self.widths[::-1], self.windows * self.channels), self.norm)
        self.writer = Neighbours(self.inputs)

    def encode(self, x: Array, weight: Array, train: bool) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent], of x [b, windows * inputs]."""
        sequence = x.reshape(len(x), self.windows, self.inputs)
        places = self.reader(sequence).reshape(-1, self.channels)
        h = self.read_norm(places, jnp.repeat(weight, self.windows), train)
        return self.posterior(self.encoder(h.reshape(len(x), -1), weight, train))

    def decode(self, z: Array, weight: Array, train: bool) -> Array:
        """Return the reconstruction [b, windows * inputs] of latents [b, latent]."""
        h = self.decoder(z, weight, train).reshape(len(z), self.windows, self.channels)
        return self.writer(h).reshape(len(z), -1)

    def __call__(self, x: Array, weight: Array) -> Array:
        """Run everything once; used to make the parameters."""
        return self.decode(self.encode(x, weight, False)[0], weight, False)


class _Normed(nn.Module):
    """Activation and norm by themselves."""

    norm: Norm

    @nn.compact
    def __call__(self, x: Array, weight: Array, train: bool) -> Array:
        """Map [b, units] to the same shape."""
        return normed("norm", self.norm, x, weight, train)
