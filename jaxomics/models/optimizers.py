"""Update rules that several models use, built inside the traced step from traced settings."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

Decay = Literal["coupled", "decoupled"]
"""`coupled` adds weight decay to the gradient of every parameter (Adam with L2, as in PyTorch);
`decoupled` is AdamW (Loshchilov and Hutter 2019) on weight matrices only."""


def adam(decay: Decay) -> Callable[[Any], optax.GradientTransformation]:
    """Return the builder of Adam from the hyper fields `learning_rate` and `weight_decay`."""

    def coupled(hyper: Any) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(hyper.weight_decay),
            optax.scale_by_adam(),
            optax.scale(-hyper.learning_rate),
        )

    def decoupled(hyper: Any) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_adam(),
            optax.add_decayed_weights(
                hyper.weight_decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
            ),
            optax.scale(-hyper.learning_rate),
        )

    return coupled if decay == "coupled" else decoupled
