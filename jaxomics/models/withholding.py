"""What MOSA's encoders are shown of a batch: views and cells withheld, values clipped."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.nn.dropout import keep_mask, view_keep
from jaxomics.types import Array, Key, Views


class Shown(NamedTuple):
    """What the encoders are shown of a batch.

    Attributes:
      x: [b, features] per view, 0 where withheld or not measured.
      share: [b, 1] per view, share of the view's cells that is shown.
      present: bool [b, views], whether anything of the view is shown.
      kept: bool [b, views], False where a view was withheld.
    """

    x: Views
    share: Views
    present: Array
    kept: Array

    def inputs(self, spec: DataSpec, batch: Batch, *, rescale: bool) -> Views:
        """Return [b, inputs + conditionals] per view, as the encoders read them."""
        out = {}
        for i, view in enumerate(spec.views):
            read = self.x[view.name]
            if view.encoded is not None:
                read = read[:, jnp.asarray(view.encoded)]
            if rescale:
                read = read / jnp.maximum(self.share[view.name], 0.2)
            joined = jnp.concatenate([read, batch.conditionals[view.name]], axis=1)
            out[view.name] = jnp.where(self.kept[:, i, None], joined, 0.0)
        return out


class Withholding(NamedTuple):
    """How to withhold at random during training.

    Attributes:
      key: PRNG key.
      view_rate: rate at which views are withheld.
      cell_rate: each sample loses a share of its cells drawn from U(0, cell_rate); None = none.
      per_sample: draw views per sample; otherwise once per batch.
      linked: groups of views withheld together, as `rna,pathway`.
    """

    key: Key
    view_rate: Array | float
    cell_rate: Array | float | None
    per_sample: bool
    linked: tuple[str, ...]


def show(
    spec: DataSpec, batch: Batch, clip: float, withholding: Withholding | None = None
) -> Shown:
    """Decide what the encoders see.

    A withheld view loses its conditionals too, because the published layer acts after they are
    appended; nothing is rescaled for it. Drawn per sample, a sample that would lose every view
    keeps all of them.

    Args:
      spec: the data's views.
      batch: standardised.
      clip: limit of the values in standard deviations; 0 = none.
      withholding: None shows everything that was measured.
    """
    names = spec.names
    present = jnp.stack([jnp.any(batch.observed[name], axis=1) for name in names], axis=1)
    kept, cells = jnp.ones_like(present), dict(batch.observed)
    if withholding is not None:
        view_key, cell_key = jax.random.split(withholding.key)
        kept = _keep_views(view_key, present, names, withholding)
        if withholding.cell_rate is not None:
            cells = _withhold_cells(cell_key, cells, withholding.cell_rate)
    x, share = {}, {}
    for i, name in enumerate(names):
        visible = cells[name] & kept[:, i, None]
        x[name] = jnp.where(visible, clipped(batch.x[name], clip), 0.0)
        share[name] = jnp.mean(visible, axis=1, keepdims=True, dtype=jnp.float32)
    return Shown(x, share, present & kept, kept)


def clipped(values: Array, limit: float) -> Array:
    """Return standardised values within +-limit; a limit of 0 leaves them alone."""
    return jnp.clip(values, -limit, limit) if limit else values


def view_groups(linked: tuple[str, ...], names: tuple[str, ...]) -> tuple[int, ...]:
    """Return a group number per view; linked views share one.

    >>> view_groups(("c,a", "x,b"), ("a", "b", "c", "d"))
    (0, 1, 0, 2)
    """
    owner = {name: names.index(name) for name in names}
    for group in linked:
        members = [name for name in group.split(",") if name in owner]
        owner |= dict.fromkeys(members, min((owner[m] for m in members), default=0))
    numbers = {old: new for new, old in enumerate(sorted(set(owner.values())))}
    return tuple(numbers[owner[name]] for name in names)


def assays(linked: tuple[str, ...], names: tuple[str, ...]) -> list[list[str]]:
    """Return the views, those of one assay together.

    >>> assays(("c,a",), ("a", "b", "c"))
    [['a', 'c'], ['b']]
    """
    groups: dict[int, list[str]] = {}
    for name, group in zip(names, view_groups(linked, names), strict=True):
        groups.setdefault(group, []).append(name)
    return list(groups.values())


def _keep_views(key: Key, present: Array, names: tuple[str, ...], how: Withholding) -> Array:
    """Draw which views the encoders may see, bool [b, views]."""
    groups = view_groups(how.linked, names)
    kept = view_keep(key, groups, len(present), how.view_rate, per_sample=how.per_sample)
    if how.per_sample:
        kept = kept | ~jnp.any(kept & present, axis=1, keepdims=True)
    return kept


def _withhold_cells(key: Key, observed: Views, most: Array | float) -> Views:
    """Hide a random share of each sample's cells; the share is drawn from U(0, most)."""
    out = {}
    for i, (name, cells) in enumerate(observed.items()):
        share_key, cell_key = jax.random.split(jax.random.fold_in(key, i))
        share = most * jax.random.uniform(share_key, (len(cells), 1))
        out[name] = cells & keep_mask(cell_key, cells.shape, share)
    return out
