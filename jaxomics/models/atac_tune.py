"""Both levels of the VAE of peaks trained together, after each was trained alone.

    w_k = mean of window k,   z ~ q(z | w),   w^ = D(z),   x^_k = D_1(w^_k)
    L   = mean over samples of (sum over observed peaks of Huber(x^ - x) + beta KL)

The first level moves here, so the error is one of peaks: that of means of windows, by which the
second level is trained alone, would vanish where all means are the same. Nagaraj et al. 2023 do
not tell whether they did this; it is off by default. Batch norms of the first level keep their
statistics. A step reads whole rows.
"""

from typing import Any

from jaxomics.data.batch import Batch
from jaxomics.models.base import Aux, Model, Player, Tune, Variables
from jaxomics.models.bulk import VAE, clipped_adam, vae_loss
from jaxomics.models.one_view import OneView, kept_statistics, present
from jaxomics.models.windows import Window, frozen, kept
from jaxomics.types import Array, Collections, Key, Params

FIRST, SECOND = "first", "second"
"""Parts of the parameters."""


def tune_model(window: Window, second: OneView) -> Tune:
    """Return how both levels are trained together.

    Args:
      window: the first level, and how it reads the view.
      second: of the means of windows.
    """

    def loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Any,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        own, view = params[VAE], window.view
        first = Variables({VAE: own[FIRST]}, frozen(collections).collections)
        x, weight = batch.x[view], present(batch, view)
        written, posterior, statistics = second.through(
            own[SECOND], collections.get(VAE, {}), window.means(first, x), weight, key, train=train
        )
        total, metrics = vae_loss(
            window.write(first, written), x, batch.observed[view], weight, *posterior, hyper,
            second.reduction,
        )  # fmt: skip
        return total, Aux(metrics, kept_statistics(statistics) if train else {})

    def init(key: Key, batch: Batch) -> Variables:
        raise AssertionError("it goes on from two trained networks")

    return Tune(Model(init, (Player(VAE, loss, clipped_adam),)), begin, end)


def begin(first: Variables, second: Variables) -> Variables:
    """Return the variables of two trained levels as those of both together."""
    params = {VAE: {FIRST: first.params[VAE], SECOND: second.params[VAE]}}
    statistics = kept(Variables({}, first.collections))
    return Variables(params, {**second.collections, **statistics})


def end(both: Variables) -> tuple[Variables, Variables]:
    """Return the variables of each level."""
    own = both.params[VAE]
    statistics = {name: part for name, part in both.collections.items() if name == VAE}
    first = Variables({VAE: own[FIRST]}, frozen(both.collections).collections)
    return first, Variables({VAE: own[SECOND]}, statistics)
