"""The only place that knows checkpoints: state to resume from, and the model to use.

The state to resume goes through orbax, asynchronously and atomically. The model to use is one
`.npz` of plain float arrays, so that it outlives library versions and opens without JAX.
"""

import json
import logging
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.engine.devices import is_key
from jaxomics.errors import InputError

SMALL = 2 << 30
"""States up to this many bytes are copied, so that training goes on while they are written."""
PLAN = "chunks.json"
"""File that tells how the replicas of a run in chunks were divided."""


class Checkpoints:
    """Checkpoints of one run in one folder; the newest two are kept.

    Use it as a context manager: leaving waits until everything is written.
    """

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)
        self._ocp = ocp
        folder.mkdir(parents=True, exist_ok=True)
        # Of several processes that train together one writes, and waits for no other.
        own = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})
        self._manager = ocp.CheckpointManager(
            folder.resolve(),
            item_handlers=ocp.StandardCheckpointHandler(multiprocessing_options=alone),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2, create=False, multiprocessing_options=alone
            ),
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

        Args:
          epoch: one that is stored.
          like: arrays, or what `jax.eval_shape` returns in their place.

        Raises:
          InputError: the stored arrays are others in number or shape.
        """
        leaves, structure = jax.tree.flatten(like)
        shapes = [jax.eval_shape(_raw, leaf) for leaf in leaves]
        template = {f"{i:05d}": np.zeros(leaf.shape, leaf.dtype) for i, leaf in enumerate(shapes)}
        # Orbax would cut or pad arrays of other shapes without a word.
        stored = self._manager.item_metadata(epoch)
        held = {name: tuple(array.shape) for name, array in (stored or {}).items()}
        if held != {name: array.shape for name, array in template.items()}:
            raise InputError(
                "the checkpoint does not fit these settings: resume with the settings of the "
                "run, or start anew with --overwrite"
            )
        found = self._manager.restore(epoch, args=self._ocp.args.StandardRestore(template))
        fresh = [_cooked(found[f"{i:05d}"], leaf) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(structure, fresh)


def latest_epoch(folder: Path) -> int | None:
    """Return the epoch of the newest complete checkpoint in a folder; None where there is none."""
    if not folder.is_dir():
        return None
    with Checkpoints(folder) as checkpoints:
        return checkpoints.latest()


def chunk_folders(folder: Path, chunks: int) -> list[Path]:
    """Return the folder of each chunk's checkpoints: the folder itself if there is one chunk.

    >>> [path.name for path in chunk_folders(Path("checkpoints"), 2)]
    ['chunk_000', 'chunk_001']
    """
    return [folder] if chunks == 1 else [folder / f"chunk_{k:03d}" for k in range(chunks)]


def stored_size(folder: Path | None, replicas: int, *, resume: bool) -> int | None:
    """Return the replicas per chunk of the run in a folder; None where there is none to go on.

    Args:
      folder: run folder; None = there is none.
      replicas: number of replicas that are to be trained.
      resume: go on with the run in the folder.

    Raises:
      InputError: the folder holds a run and resuming was not asked for, or a run of another
        number of replicas.
    """
    if folder is None or not (folder / "checkpoints").is_dir():
        return None
    held, plan = folder / "checkpoints", folder / "checkpoints" / PLAN
    parts = sorted(held.glob("chunk_*")) if plan.exists() else [held]
    epochs = [epoch for epoch in map(latest_epoch, parts) if epoch is not None]
    if epochs and not resume:
        raise InputError(
            f"{folder} holds a run of {max(epochs)} epochs: resume it, empty the folder with "
            "--overwrite, or choose another"
        )
    if not resume or not plan.exists():
        return replicas if epochs else None
    stored = json.loads(plan.read_text(encoding="utf-8"))
    if stored["replicas"] != replicas:
        raise InputError(
            f"{folder} holds a run of {stored['replicas']} replicas, not of {replicas}: resume "
            "with the settings of the run, or start anew with --overwrite"
        )
    return stored["size"]


def store_size(folder: Path, replicas: int, size: int) -> None:
    """Note how the replicas of a run are divided, if they are."""
    plan = folder / "checkpoints" / PLAN
    plan.unlink(missing_ok=True)
    if size < replicas:
        plan.parent.mkdir(parents=True, exist_ok=True)
        temporary = plan.with_name(PLAN + ".tmp")
        temporary.write_text(json.dumps({"replicas": replicas, "size": size}), encoding="utf-8")
        temporary.replace(plan)


def _raw(leaf: Any) -> Any:
    """Return a leaf as numbers: PRNG keys as their words."""
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def _cooked(value: Any, like: Any) -> Any:
    """Return stored numbers as what `like` is."""
    array = jnp.array(value)
    return jax.random.wrap_key_data(array) if is_key(like) else array


def save_model(path: Path, tree: Any) -> None:
    """Write nested dicts of arrays to one `.npz`, whole or not at all.

    NumPy knows no bfloat16: it is written as float32, which holds it exactly.
    """
    arrays = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        plain = array.astype(np.float32) if array.dtype == jnp.bfloat16 else array
        arrays["|".join(str(k.key) for k in keys)] = plain  # pyright: ignore
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
