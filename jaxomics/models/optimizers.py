"""Update rules that several models use, built inside the traced step from traced settings."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

Decay = Literal["coupled", "decoupled"]
"""`coupled` adds weight decay to the gradient of every parameter (Adam with L2, as in PyTorch);
`decoupled` is AdamW (Loshchilov and Hutter 2019) on weight matrices only."""


def adam(decay: Decay, b1: float = 0.9) -> Callable[[Any], optax.GradientTransformation]:
    """Return the builder of Adam from the hyper fields `learning_rate` and `weight_decay`.

    Args:
      decay: what weight decay acts on.
      b1: decay of the first moment.
    """

    def coupled(hyper: Any) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(hyper.weight_decay),
            optax.scale_by_adam(b1=b1),
            optax.scale(-hyper.learning_rate),
        )

    def decoupled(hyper: Any) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_adam(b1=b1),
            optax.add_decayed_weights(
                hyper.weight_decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
            ),
            optax.scale(-hyper.learning_rate),
        )

    return coupled if decay == "coupled" else decoupled


def in_float32(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Return a rule whose moments and updates are float32 whatever type the parameters have."""

    def wide(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)

    def init(params: Any) -> Any:
        return inner.init(wide(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return inner.update(wide(updates), state, None if params is None else wide(params))

    return optax.GradientTransformation(init, update)
