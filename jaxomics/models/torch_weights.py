"""Import the released MOSA weights: a PyTorch state dict of arrays to our parameters.

The published network (Cai et al. 2024) numbers its views and layers, and stores the one PReLU
slope once per use. Names read `encoders.I.N.weight`, `joint.mu.weight`, `decoders.I.N.bias`,
possibly behind `module.` or another prefix; layers that count are those with 2-D weights
([out, in]), in the order of N. Convert a `.pth` file where PyTorch is installed:

    numpy.savez("mosa.npz", **{k: v.numpy() for k, v in torch.load("mosa.pth").items()})
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.errors import InputError, unknown
from jaxomics.models import mosa
from jaxomics.types import Array, Params

_LAYER = re.compile(r"(encoders|decoders)\.(\d+)\.(\d+)\.(weight|bias)$")
_HEAD = re.compile(r"joint\.(?:\w+\.)*(mu|var)\.(?:\d+\.)?(weight|bias)$")
_HEADS = {"mu": "mean", "var": "variance"}


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Return the named arrays of an `.npz` file.

    Raises:
      InputError: no such file, or not an `.npz` archive.
    """
    path = Path(path)
    if path.suffix != ".npz" or not path.exists():
        raise InputError(
            f"expected an .npz file of named arrays, found {path}; convert a .pth file with "
            "numpy.savez where PyTorch is installed"
        )
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def import_weights(
    named: Mapping[str, np.ndarray],
    config: mosa.Config,
    spec: DataSpec,
    view_order: Sequence[str],
    *,
    start: Params | None = None,
) -> Params:
    """Return MOSA's parameters, keyed by player, from a PyTorch state dict.

    Args:
      named: arrays by name, weights [out, in].
      config: the network; `activation` must be `prelu_shared` and `presence` off.
      spec: the views wanted, in any order; all or some of the released ones.
      view_order: names of the views that the state dict numbers 0, 1, ...
      start: parameters to overwrite in part, needed if `spec` has views that were not released:
        the encoders and decoders of the shared views are loaded, and the joint layer is kept.

    Raises:
      InputError: a view, a layer or a shape that does not fit; all parameters by name.
    """
    if config.activation != "prelu_shared" or config.presence:
        raise InputError(
            "expected a network with activation 'prelu_shared' and presence off, as published; "
            "take the config of preset 'paper'"
        )
    layers = _layers(named)
    _check_views(layers, spec, view_order, partial=start is not None)
    wanted = _shapes(config, spec)
    loaded: dict[str, Any] = {"slope": _slope(named)}
    for view in spec.names:
        if view not in view_order:
            continue
        for side in ("encoders", "decoders"):
            part = f"{side}_{view}"
            stack = layers[side, view_order.index(view)]
            loaded[part] = _stack(stack, wanted[part], part)
    if set(spec.names) <= set(view_order):
        loaded["joint"] = _joint(named, layers, spec, view_order)
    own = {part: _fitted(part, found, wanted[part]) for part, found in loaded.items()}
    if start is None:
        return {mosa.PLAYER: own}
    return {**start, mosa.PLAYER: {**start[mosa.PLAYER], **own}}


def _layers(named: Mapping[str, np.ndarray]) -> dict[tuple[str, int], list[dict[str, np.ndarray]]]:
    """Return the Linear layers of each (side, view number), in order, as kernel and bias."""
    found: dict[tuple[str, int], dict[int, dict[str, np.ndarray]]] = {}
    for name, value in named.items():
        match = _LAYER.search(name)
        if match:
            side, view, index, kind = match.groups()
            branch = found.setdefault((side, int(view)), {}).setdefault(int(index), {})
            branch[kind] = np.asarray(value)
    return {
        place: [
            _linear(by_index[i], f"{place[0]}.{place[1]}.{i}")
            for i in sorted(by_index)
            if by_index[i].get("weight", np.zeros(0)).ndim == 2
        ]
        for place, by_index in found.items()
    }


def _linear(layer: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Return a PyTorch Linear as kernel [in, out] and bias [out]."""
    for kind in ("weight", "bias"):
        if kind not in layer:
            raise InputError(f"expected {name}.{kind} in the state dict, found none")
    return {"kernel": layer["weight"].T, "bias": layer["bias"]}


def _check_views(layers: Mapping, spec: DataSpec, order: Sequence[str], *, partial: bool) -> None:
    """Check that the names given number all views, and that the wanted ones are among them."""
    for side in ("encoders", "decoders"):
        numbers = sorted(i for part, i in layers if part == side)
        if numbers != list(range(len(order))):
            raise InputError(
                f"expected {side} numbered 0 to {len(order) - 1}, one per name of view_order, "
                f"found {numbers}; name the views in the order of the released training run"
            )
    absent = [name for name in spec.names if name not in order]
    if len(absent) == len(spec.names):
        raise unknown("view", absent[0], order)
    if absent and not partial:
        raise InputError(
            f"expected released views, found {absent[0]!r}; give `start`, the parameters of views "
            f"that were not released. Known: {', '.join(order)}"
        )


def _stack(stack: list[dict[str, np.ndarray]], wanted: Mapping, part: str) -> dict[str, Any]:
    """Name the layers of one encoder or decoder: hidden_0, ..., out."""
    if len(stack) != len(wanted):
        raise InputError(
            f"{part}: expected {len(wanted)} linear layers, found {len(stack)}; check `hidden`"
        )
    names = [*(f"hidden_{i}" for i in range(len(stack) - 1)), "out"]
    return dict(zip(names, stack, strict=True))


def _joint(
    named: Mapping[str, np.ndarray], layers: Mapping, spec: DataSpec, order: Sequence[str]
) -> dict[str, Any]:
    """Return the heads, with the input rows of each view brought into the order of `spec`."""
    raw: dict[str, dict[str, np.ndarray]] = {"mu": {}, "var": {}}
    for name, value in named.items():
        match = _HEAD.search(name)
        if match:
            raw[match.group(1)][match.group(2)] = np.asarray(value)
    widths = [len(layers["encoders", i][-1]["bias"]) for i in range(len(order))]
    ends = np.cumsum(widths)
    rows = np.concatenate(
        [np.arange(ends[i] - widths[i], ends[i]) for i in map(order.index, spec.names)]
    )
    heads = {}
    for theirs, ours in _HEADS.items():
        head = _linear(raw[theirs], f"joint.{theirs}")
        if len(head["kernel"]) != ends[-1]:
            raise InputError(
                f"joint.{theirs}: expected {ends[-1]} inputs, the sum of the view latents, "
                f"found {len(head['kernel'])}"
            )
        heads[ours] = {"kernel": head["kernel"][rows], "bias": head["bias"]}
    return heads


def _slope(named: Mapping[str, np.ndarray]) -> Array:
    """Return the shared PReLU slope: every one-number weight, which must agree."""
    found = [np.ravel(v)[0] for k, v in named.items() if k.endswith("weight") and np.size(v) == 1]
    if not found:
        raise InputError("expected the PReLU slope, a weight of one number, found none")
    if not np.allclose(found, found[0]):
        raise InputError(
            f"expected one slope shared by all layers, found {len(set(map(float, found)))} "
            "different ones: this is not the published network"
        )
    return jnp.asarray(found[0], jnp.float32)


def _shapes(config: mosa.Config, spec: DataSpec) -> dict[str, Any]:
    """Return the shapes of the network's parameters, without making them."""

    def start() -> Params:
        batch = Batch(
            x={v.name: jnp.zeros((1, v.features)) for v in spec.views},
            observed={v.name: jnp.ones((1, v.features), bool) for v in spec.views},
            sample=dict.fromkeys(spec.names, jnp.zeros(1, jnp.int32)),
            conditionals=dict.fromkeys(spec.names, jnp.zeros((1, spec.conditionals))),
            labels=dict.fromkeys(spec.names, jnp.zeros(1, jnp.int32)),
            weight=dict.fromkeys(spec.names, jnp.ones(1)),
        )
        return mosa.build(config, spec).init(jax.random.key(0), batch).params[mosa.PLAYER]

    return jax.eval_shape(start)


def _fitted(part: str, found: Any, wanted: Any) -> Any:
    """Return arrays on the device, after checking each shape against the network's."""

    def leaf(path: tuple, expected: jax.ShapeDtypeStruct, value: np.ndarray) -> Array:
        if np.shape(value) != expected.shape:
            name = "/".join([part, *(step.key for step in path)])
            raise InputError(
                f"{name}: expected shape {expected.shape}, found {np.shape(value)}; check "
                "features, conditionals and sizes"
            )
        return jnp.asarray(value, jnp.float32)

    return jax.tree_util.tree_map_with_path(leaf, wanted, found)
