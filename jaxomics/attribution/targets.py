"""Questions about a fitted model: which outputs to explain, as functions of one sample.

A target is written `latent`, `latent:K`, `view:VIEW` or `feature:VIEW/NAME`. The sample x that is
explained holds what the encoders read in standard units, unobserved entries 0, one array per
view, and the conditionals as the view `conditionals`. Which entries count as measured is no
input but a setting of the function, and is held along a path.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.codes import Coded
from jaxomics.attribution.jacobian import Bottleneck, Inputs
from jaxomics.data.batch import Batch, DataSpec
from jaxomics.errors import InputError, unknown
from jaxomics.models.base import Model
from jaxomics.types import Array, Collections, Params, Views

CONDITIONALS = "conditionals"
"""Name of the conditionals among the views of an explanation."""
KINDS = ("latent", "latent:K", "view:VIEW", "feature:VIEW/NAME")


class Network(NamedTuple):
    """The parameters of a target's function: a trained network and what was measured.

    Attributes:
      params, collections: of the network.
      observed: bool [features] per view.
    """

    params: Params
    collections: Collections
    observed: Views


class Target(NamedTuple):
    """One question.

    Attributes:
      text: as asked.
      kind: `latent` explains entries of z, `view` what the decoder writes.
      names: name of each output: z0, z1, ... or VIEW/FEATURE.
      view: the view written; None for latents.
      columns: int [outputs], of z or of the view.
    """

    text: str
    kind: Literal["latent", "view"]
    names: tuple[str, ...]
    view: str | None
    columns: np.ndarray


def resolve(text: str, features: Mapping[str, Sequence[str]], latent: int) -> Target:
    """Return the target that a text asks for.

    Args:
      text: the question.
      features: names of the features that the model writes, per view.
      latent: size of z.

    Raises:
      InputError: an unknown kind, view, feature or number of a latent.

    >>> resolve("latent:3", {}, latent=8).names
    ('z3',)
    >>> resolve("feature:rna/TP53", {"rna": ["KRAS", "TP53"]}, latent=8).columns.tolist()
    [1]
    """
    kind, _, rest = text.partition(":")
    if kind == "latent":
        chosen = np.arange(latent) if not rest else np.array([_number(rest, latent)])
        return Target(text, "latent", tuple(f"z{i}" for i in chosen), None, chosen)
    if kind == "class":
        raise InputError(
            f"expected a model with classes for the target {text!r}, found one without; targets "
            f"of this model are {', '.join(KINDS)}"
        )
    if kind not in ("view", "feature") or not rest:
        raise unknown("target", text, [*KINDS, *(f"view:{view}" for view in features)])
    # Feature names may hold slashes, views may not.
    view, _, feature = (rest, "", "") if kind == "view" else rest.partition("/")
    if view not in features:
        raise unknown("view of this model", view, features)
    names = list(features[view])
    columns = np.arange(len(names))
    if kind == "feature":
        if feature not in names:
            raise unknown(f"feature of view {view!r}", feature, names)
        columns = np.array([names.index(feature)])
    return Target(text, "view", tuple(f"{view}/{names[i]}" for i in columns), view, columns)


def bottleneck(
    model: Model,
    spec: DataSpec,
    targets: Sequence[Target],
    reader: Model | None = None,
    *,
    stop: bool = False,
    codes: bool = False,
) -> Bottleneck:
    """Return what the decoder writes for some targets, those of kind `view`, in their order.

    Its parameters are a `Network`. Latents are not among its outputs: `by_latent` adds them.

    Args:
      model: the fitted model.
      spec: its data.
      targets: what to explain.
      reader: a model with the same encoders that reads their columns alone; by default `model`.
      stop: explain the decoders' last hidden layers, and read out afterwards; the model must
        have them.
      codes: use that views meet in linear layers; the model must tell how, and `stop` if anything
        is written.

    Raises:
      InputError: the model has no latent that decodes.
    """
    encode, decode = (reader or model).tasks.encode, model.tasks.decode
    if encode is None or decode is None:
        raise InputError(
            "this model has no latent space that decodes; `jaxomics models` lists verbs"
        )
    written = [(t.view, t.columns) for t in targets if t.view is not None]
    direct, hidden, readout = model.tasks.direct, model.tasks.hidden, model.tasks.readout

    def pick(views: Views) -> Array:
        parts = [views[view][0, columns] for view, columns in written]
        return jnp.concatenate(parts) if parts else jnp.zeros(0)

    def encoded_parts(network: Network, parts: dict[str, Inputs]) -> Array:
        mean, _ = encode(network.params, network.collections, _batch(parts, network.observed))
        return mean[0]

    def encoded(network: Network, x: Inputs) -> Array:
        return encoded_parts(network, _divided(x))

    def decoded(network: Network, z: Array, side: Inputs) -> Array:
        y = side[CONDITIONALS][None]
        return pick(decode(network.params, network.collections, z[None], y))

    def added(network: Network, x: Inputs) -> Array:
        assert direct is not None
        views = direct(network.params, network.collections, _batch(_divided(x), network.observed))
        zeros = {view.name: jnp.zeros((1, view.features)) for view in spec.views}
        return pick(zeros | views)

    def layers(network: Network) -> list[tuple[str, Array]]:
        assert readout is not None
        kernels = readout(network.params, network.collections)
        return [(view, kernels[view][:, columns]) for view, columns in written]

    def before_last(network: Network, z: Array, side: Inputs) -> Array:
        assert hidden is not None
        y = side[CONDITIONALS][None]
        views = hidden(network.params, network.collections, z[None], y)
        return jnp.concatenate([views[view][0] for view, _ in written])

    def read_out(network: Network, values: Array) -> Array:
        parts, first = [], 0
        for _, kernel in layers(network):
            parts.append(kernel.T @ values[first : first + len(kernel)])
            first += len(kernel)
        return jnp.concatenate(parts)

    written_views = tuple(view for view, _ in written)
    linked = partners(spec, targets) if direct is not None else {}
    return Bottleneck(
        encoded,
        decoded,
        sum(len(columns) for _, columns in written),
        (CONDITIONALS,),
        added if linked else None,
        linked,
        before_last if stop else None,
        read_out if stop else None,
        _divided,
        encoded_parts,
        coded(reader or model, model, spec, written_views, own=reader is None) if codes else None,
    )


def coded(
    reader: Model, writer: Model, spec: DataSpec, written: tuple[str, ...], *, own: bool
) -> Coded:
    """Return how views meet in z and leave it.

    Args:
      reader: the model with the encoders.
      writer: the model with the decoders.
      spec: of the data.
      written: views that are asked for, in the order of the rows.
      own: encoders pick their columns from all; otherwise they are given theirs.
    """
    inward, outward = reader.tasks.codes, writer.tasks.codes
    assert inward is not None
    assert outward is not None
    beside = np.arange(spec.conditionals)

    def nothing(network: Network) -> Batch:
        y = {CONDITIONALS: jnp.zeros(spec.conditionals)}
        parts = {v: y | {v: jnp.zeros(o.shape)} for v, o in network.observed.items()}
        return _batch(parts, network.observed)

    def read(network: Network, parts: Mapping[str, Inputs]) -> Inputs:
        batch = _batch(parts, network.observed)
        return _first(inward.read(network.params, network.collections, batch))

    def code(network: Network, read: Inputs) -> Inputs:
        rows = {part: leaf[None] for part, leaf in read.items()}
        return _first(inward.code(network.params, network.collections, nothing(network), rows))

    def meet(network: Network, codes: Inputs, read: Inputs) -> Array:
        rows = ({part: leaf[None] for part, leaf in tree.items()} for tree in (codes, read))
        return inward.meet(network.params, network.collections, nothing(network), *rows)[0]

    def lift(network: Network, z: Array, side: Inputs) -> Inputs:
        y = side[CONDITIONALS][None]
        lifted = outward.lift(network.params, network.collections, z[None], y)
        return _first({view: lifted[view] for view in dict.fromkeys(written)})

    def act(network: Network, lifted: Inputs) -> Inputs:
        rows = {view: leaf[None] for view, leaf in lifted.items()}
        return _first(outward.act(network.params, network.collections, rows))

    columns = {
        view.name: {
            view.name: np.arange(view.inputs)
            if view.encoded is None or not own
            else np.asarray(view.encoded),
            CONDITIONALS: beside,
        }
        for view in spec.views
    }
    return Coded(
        _divided, read, code, meet, lift, act, columns, written, (CONDITIONALS,), outward.beside
    )


def partners(spec: DataSpec, targets: Sequence[Target]) -> dict[str, np.ndarray]:
    """Return per view the column that each output reads beside z, int [outputs]; -1 = none."""
    names = [(t.view, column) for t in targets if t.view is not None for column in t.columns]
    found: dict[str, np.ndarray] = {}
    for link in spec.links:
        source = dict(zip(link.target_columns, link.source_columns, strict=True))
        columns = np.array(
            [source.get(int(c), -1) if view == link.target else -1 for view, c in names], int
        )
        if (columns >= 0).any():
            known = found.get(link.source, np.full(len(names), -1))
            found[link.source] = np.where(columns >= 0, columns, known)
    return found


def _divided(x: Inputs) -> dict[str, Inputs]:
    """Return what each encoder reads: its view, and the conditionals."""
    y = {CONDITIONALS: x[CONDITIONALS]}
    return {view: y | {view: x[view]} for view in x if view != CONDITIONALS}


def _first(views: Views) -> Inputs:
    """Return the first sample of [b, ...] arrays."""
    return {view: leaf[0] for view, leaf in views.items()}


def _batch(parts: Mapping[str, Inputs], observed: Views) -> Batch:
    """Return one sample as a batch; each view brings its own copy of the conditionals."""
    row = jnp.zeros(1, jnp.int32)
    return Batch(
        x={view: part[view][None] for view, part in parts.items()},
        observed={view: observed[view][None] for view in parts},
        sample=dict.fromkeys(parts, row),
        conditionals={view: part[CONDITIONALS][None] for view, part in parts.items()},
        labels=dict.fromkeys(parts, row - 1),
        weight=dict.fromkeys(parts, jnp.ones(1)),
    )


def _number(text: str, latent: int) -> int:
    """Return the number of a latent."""
    if not text.isdigit() or int(text) >= latent:
        raise InputError(f"expected a latent from 0 to {latent - 1}, found {text!r}")
    return int(text)
