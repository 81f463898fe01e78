"""The only place that knows checkpoints: state to resume from, and the model to use.

The state to resume goes through orbax, asynchronously and atomically. The model to use is one
`.npz` of plain float arrays, so that it outlives library versions and opens without JAX.
"""

import logging
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.errors import InputError

SMALL = 2 << 30
"""States up to this many bytes are copied, so that training goes on while they are written."""


class Checkpoints:
    """Checkpoints of one run in one folder; the newest two are kept.

    Use it as a context manager: leaving waits until everything is written.
    """

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)
        self._ocp = ocp
        self._manager = ocp.CheckpointManager(
            folder.resolve(),
            item_handlers=ocp.StandardCheckpointHandler(),
            options=ocp.CheckpointManagerOptions(max_to_keep=2, create=True),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    def save(self, epoch: int, tree: Any, *, wait: bool = False) -> None:
        """Write a pytree under the number of epochs that it has seen."""
        if epoch in self._manager.all_steps():
            return
        leaves = [_raw(leaf) for leaf in jax.tree.leaves(tree)]
        small = sum(leaf.nbytes for leaf in leaves) <= SMALL
        # The next step reuses the state's memory, so it must not be read after this returns.
        hosted = {
            f"{i:05d}": np.array(leaf, copy=small) if small else np.asarray(leaf)
            for i, leaf in enumerate(leaves)
        }
        self._manager.save(epoch, args=self._ocp.args.StandardSave(hosted))
        if wait or not small:
            self._manager.wait_until_finished()

    def latest(self) -> int | None:
        """Return the newest complete checkpoint's epoch."""
        return self._manager.latest_step()

    def restore(self, epoch: int, like: Any) -> Any:
        """Return the tree of an epoch, with the structure, shapes and types of `like`.

        Raises:
          InputError: the stored arrays are others in number or shape.
        """
        leaves, structure = jax.tree.flatten(like)
        template = {
            f"{i:05d}": np.zeros(_raw(leaf).shape, _raw(leaf).dtype)
            for i, leaf in enumerate(leaves)
        }
        # Orbax would cut or pad arrays of other shapes without a word.
        stored = self._manager.item_metadata(epoch)
        shapes = {name: tuple(array.shape) for name, array in (stored or {}).items()}
        if shapes != {name: array.shape for name, array in template.items()}:
            raise InputError(
                "the checkpoint does not fit these settings: resume with the settings of the "
                "run, or start anew with --overwrite"
            )
        found = self._manager.restore(epoch, args=self._ocp.args.StandardRestore(template))
        fresh = [_cooked(found[f"{i:05d}"], leaf) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(structure, fresh)


def _raw(leaf: Any) -> Any:
    """Return a leaf as numbers: PRNG keys as their words."""
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _cooked(value: Any, like: Any) -> Any:
    """Return stored numbers as what `like` is."""
    is_key = isinstance(like, jax.Array) and jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    array = jnp.array(value)
    return jax.random.wrap_key_data(array) if is_key else array


def save_model(path: Path, tree: Any) -> None:
    """Write nested dicts of arrays to one `.npz`, whole or not at all."""
    arrays = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        arrays["|".join(str(k.key) for k in keys)] = np.asarray(leaf)  # pyright: ignore
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("." + path.name + ".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def load_model(path: Path) -> dict[str, Any]:
    """Return the nested dicts of arrays that `save_model` wrote."""
    if not path.exists():
        raise InputError(f"expected a trained model at {path}, found none: train first")
    tree: dict[str, Any] = {}
    with np.load(path) as stored:
        for name in stored.files:
            *parents, last = re.split(r"\|", name)
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[last] = jnp.asarray(stored[name])
    return tree
