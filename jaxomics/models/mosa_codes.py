"""How MOSA's views meet in z and leave it: the network cut where it is linear.

Explanations are several times cheaper for it (`attribution.codes`). With one hidden layer in each
decoder, everything between the views' latents and the decoders' hidden units is linear.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.models.base import Codes
from jaxomics.models.withholding import show
from jaxomics.nn.mlp import activate, width
from jaxomics.types import Array, Collections, Params, Views


def make_codes(
    config: Any,
    spec: DataSpec,
    player: str,
    encoders: Callable[..., Views],
    joint: Callable[..., Array],
) -> Codes | None:
    """Return the parts of the network; None where its decoders have several hidden layers.

    Args:
      config: `mosa.Config`.
      spec: of the data.
      player: name of the network among the parameters.
      encoders: (variables, inputs, present, dropout rate) -> latents of the views given.
      joint: (variables, latents, inputs, present) -> mean of z.
    """
    if len(config.hidden) != 1:
        return None
    still = jnp.zeros(())

    def read(params: Params, collections: Collections, batch: Batch) -> Views:
        return show(spec, batch, config.clip).inputs(spec, batch, rescale=config.rescale)

    def code(params: Params, collections: Collections, batch: Batch, inputs: Views) -> Views:
        present = show(spec, batch, config.clip).present
        return encoders({"params": params[player]}, inputs, present, still)

    def meet(
        params: Params, collections: Collections, batch: Batch, codes: Views, inputs: Views
    ) -> Array:
        present = show(spec, batch, config.clip).present
        return joint({"params": params[player]}, codes, inputs, present)

    def lift(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        h = jnp.concatenate([z, conditionals], axis=1)
        layers = {name: params[player][f"decoders_{name}"]["hidden_0"] for name in spec.names}
        return {name: h @ layer["kernel"] + layer["bias"][None] for name, layer in layers.items()}

    def act(params: Params, collections: Collections, lifted: Views) -> Views:
        own = params[player]
        slopes = {name: own.get("slope", own[f"decoders_{name}"].get("slope_0")) for name in lifted}
        return {name: activate(x, config.activation, slopes[name]) for name, x in lifted.items()}

    widest = max(width(config.view_latent, view.inputs) for view in spec.views)
    return Codes(read, code, meet, lift, act, widest, config.skip)
