"""The networks of OmiEmbed: a VAE of all views, and heads on the mean of its latent."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from jaxomics.data.batch import DataSpec, ViewSpec
from jaxomics.nn.norm_blocks import Mode, NormBlocks, linear, words_of
from jaxomics.types import Array, Views

LOG_VARIANCE_LIMIT = 20.0
"""Bound of the logarithm of the variance of z, so that its exponential stays finite."""


class Vae(nn.Module):
    """Encoder of all views into one Gaussian z, and decoder of z into all views.

    Each view has a path of blocks, or a block per group of features and then the rest of the
    path; the paths are joined, and the decoder mirrors all of it.

    Attributes:
      spec: the data's views.
      paths: widths of each view's path, by its number.
      joint: widths of the blocks between joined paths and z.
      latent: size of z.
      group_width: units that each group of features is read into.
    """

    spec: DataSpec
    paths: tuple[tuple[int, ...], ...]
    joint: tuple[int, ...]
    latent: int
    group_width: int

    def setup(self) -> None:
        """Name the parts, so that parameters read read_VIEW, joint, write_VIEW, output_VIEW."""
        views = dict(zip(self.spec.views, self.paths, strict=True))
        self.group_readers = {
            part: NormBlocks((self.group_width,)) for v in views for part in _groups(v)
        }
        self.readers = {v.name: NormBlocks(path[bool(v.groups) :]) for v, path in views.items()}
        self.joiner = NormBlocks(self.joint)
        self.mean, self.log_variance = linear(self.latent), linear(self.latent)
        ends = sum(self._widths(v, path)[-1] for v, path in views.items())
        self.divider = NormBlocks((*self.joint[::-1], ends))
        self.writers = {
            v.name: NormBlocks(self._widths(v, path)[-2::-1]) for v, path in views.items()
        }
        self.outputs = {
            name: linear(columns)
            for v in views
            for name, columns in (
                [(f"{v.name}_{i}", len(group)) for i, group in enumerate(v.groups)]
                or [(v.name, v.features)]
            )
        }

    def _widths(self, view: ViewSpec, path: tuple[int, ...]) -> tuple[int, ...]:
        """Return the widths of a view's path through the encoder, its groups side by side."""
        return (len(view.groups) * self.group_width, *path[1:]) if view.groups else path

    def hidden(self, x: Views, present: Views, weight: Array, mode: Mode) -> Array:
        """Return what the layer of the mean reads, [b, joint[-1]].

        Args:
          x: [b, features] per view, 0 where unobserved.
          present: [b] per view, 1 where the sample has the view; absent views are silent.
          weight: [b], 0 = padding.
          mode: how to run.
        """
        stacks = {**self._named("group", self.group_readers), **self._named("view", self.readers)}
        words = words_of({**stacks, "joint": self.joiner}, mode.key, len(weight))
        parts = []
        for view in self.spec.views:
            name, own = view.name, present[view.name]
            read = x[name] if view.encoded is None else x[name][:, jnp.asarray(view.encoded)]
            if view.groups:
                groups = [
                    self.group_readers[part](
                        x[name][:, jnp.asarray(columns, jnp.int32)],
                        own,
                        mode,
                        words[f"group_{part}"],
                    )
                    for part, columns in _groups(view).items()
                ]
                read = jnp.concatenate(groups, axis=1)
            h = self.readers[name](read, own, mode, words[f"view_{name}"])
            parts.append(h * own[:, None])
        return self.joiner(jnp.concatenate(parts, axis=1), weight, mode, words["joint"])

    def _named(self, what: str, stacks: Mapping[str, NormBlocks]) -> dict[str, NormBlocks]:
        """Return stacks under names that say what they are."""
        return {f"{what}_{name}": stack for name, stack in stacks.items()}

    def posterior(self, hidden: Array) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent]."""
        limit = LOG_VARIANCE_LIMIT
        log_variance = jnp.clip(self.log_variance(hidden), -limit, limit)
        return self.mean(hidden), jnp.exp(log_variance)

    def encode(
        self, x: Views, present: Views, weight: Array, mode: Mode
    ) -> tuple[Array, Array, Array]:
        """Return mean and variance of z, and what the layer of the mean read."""
        hidden = self.hidden(x, present, weight, mode)
        return *self.posterior(hidden), hidden

    def decode(self, z: Array, present: Views, weight: Array, mode: Mode) -> Views:
        """Return the reconstruction [b, features] of every view."""
        stacks = self._named("view", self.writers) | {"joint": self.divider}
        words = words_of(stacks, mode.key, len(weight))
        h = self.divider(z, weight, mode, words["joint"])
        out, start = {}, 0
        for view, path in zip(self.spec.views, self.paths, strict=True):
            name = view.name
            end = start + self._widths(view, path)[-1]
            own, start = h[:, start:end], end
            own = self.writers[name](own, present[name], mode, words[f"view_{name}"])
            out[name] = self._output(view, own)
        return out

    def _output(self, view: ViewSpec, h: Array) -> Array:
        """Return the reconstruction of a view from the last block of its path."""
        if not view.groups:
            return self.outputs[view.name](h)
        parts = jnp.split(h, len(view.groups), axis=1)
        written = [self.outputs[f"{view.name}_{i}"](part) for i, part in enumerate(parts)]
        order = jnp.argsort(jnp.asarray([c for group in view.groups for c in group]))
        return jnp.concatenate(written, axis=1)[:, order]

    def __call__(self, x: Views, present: Views, weight: Array) -> Views:
        """Run everything once; used to make the parameters."""
        mean, _, _ = self.encode(x, present, weight, Mode(train=True))
        return self.decode(mean, present, weight, Mode(train=True))


class HeadSpec(NamedTuple):
    """Shape of a head.

    Attributes:
      name: of its task.
      widths: of its blocks.
      outputs: numbers that it gives.
      norm, activation: form of the blocks.
      last: where the bias of the last output starts; the others start at 0.
    """

    name: str
    widths: tuple[int, ...]
    outputs: int
    norm: bool
    activation: Literal["leaky", "tanh"]
    last: float = 0.0


class Heads(nn.Module):
    """One stack of blocks and a linear layer per task, all of which read z."""

    heads: tuple[HeadSpec, ...]

    def setup(self) -> None:
        """Name the parts, so that parameters read blocks_TASK, outputs_TASK."""
        self.blocks = {h.name: NormBlocks(h.widths, h.norm, h.activation) for h in self.heads}
        self.outputs = {h.name: linear(h.outputs, last=h.last) for h in self.heads}

    def __call__(self, z: Array, weight: Array, modes: Mapping[str, Mode]) -> Views:
        """Map [b, latent] to [b, outputs] by task; each head runs in a mode of its own."""
        out = {}
        for name, blocks in self.blocks.items():
            mode = modes[name]
            words = words_of({name: blocks}, mode.key, len(weight))[name]
            out[name] = self.outputs[name](blocks(z, weight, mode, words))
        return out


def _groups(view: ViewSpec) -> dict[str, tuple[int, ...]]:
    """Return the columns that the encoder reads of each group of a view, by VIEW_NUMBER."""
    seen = set(range(view.features)) if view.encoded is None else set(view.encoded)
    return {
        f"{view.name}_{i}": tuple(c for c in group if c in seen)
        for i, group in enumerate(view.groups)
    }
