"""What a fitted estimator writes, as a function f(networks, x) of one sample.

`jaxomics explain` streams such functions over samples. Studies of single samples, of which
nodes, draws and methods to take, need the function itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxomics
from jaxomics.attribution.targets import CONDITIONALS, Network, bottleneck, resolve
from jaxomics.types import Array, Collections, Params, Views


class Outputs(NamedTuple):
    """Outputs of an ensemble, and the samples that it reads.

    Attributes:
      f: (networks, x) -> [outputs] in standard units, the mean over members.
      networks: parameters with a leading axis of members; `at` sets what was measured.
      x: [samples, features] per view in standard units, unmeasured entries 0, conditionals among
        them.
      observed: bool [samples, features] per view.
      names: of the outputs, VIEW/FEATURE.
    """

    f: Callable[[Network, Views], Array]
    networks: Network
    x: Views
    observed: Views
    names: tuple[str, ...]

    def at(self, row: int) -> tuple[Network, Views]:
        """Return networks and x of one sample."""
        x, observed = jax.tree.map(lambda leaf: leaf[row], (self.x, self.observed))
        return self.networks._replace(observed=observed), x

    def one(self, name: str) -> Callable[[Network, Views], Array]:
        """Return the function of a single output."""
        number = self.names.index(name)
        return lambda networks, x: self.f(networks, x)[number]


def outputs(estimator: jaxomics.Estimator, cohort: jaxomics.MultiOmics, target: str) -> Outputs:
    """Return a target, such as `view:drug`, as a function of the samples of a cohort.

    Raises:
      InputError: an unknown target, or a model without a latent space that decodes.
    """
    features = {name: list(v.features) for name, v in estimator.preprocess_.views.items()}
    asked = resolve(target, features, estimator.settings.config.latent)
    path = bottleneck(estimator.model_, estimator.spec_, [asked])
    data = estimator.data(cohort)
    x = {
        name: estimator.standard_.read(name, data.x[name], data.observed[name])
        for name in estimator.spec_.names
    }
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *estimator.members_)

    def f(networks: Network, x: Views) -> Array:
        def member(params: Params, collections: Collections) -> Array:
            return path.whole(Network(params, collections, networks.observed), x)

        return jax.vmap(member)(networks.params, networks.collections).mean(axis=0)

    networks = Network(members.params, members.collections, {})
    observed = {name: data.observed[name] for name in x}
    return Outputs(f, networks, x | {CONDITIONALS: data.conditionals}, observed, asked.names)
