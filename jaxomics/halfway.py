"""Long work that can be interrupted: what is done so far, kept in a folder and found again."""

import time
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from jaxomics.data.atomic import whole_file
from jaxomics.errors import InputError

T = TypeVar("T")
SAVE_SECONDS = 60.0
"""Seconds between two savings, at least."""
PACE = 20
"""Saving takes at most one part in so many of the time."""
QUESTION = "question.txt"
"""File that tells what the work is."""


class Halfway:
    """What is done of each part of some work, one `.npz` per part, whole or not at all.

    Without a folder nothing is kept, and nothing is found.
    """

    def __init__(self, folder: Path | None, fingerprint: str):
        """Open a folder, or make it.

        Args:
          folder: where to keep what is done.
          fingerprint: of everything that decides the result.

        Raises:
          InputError: the folder holds parts of other work.
        """
        self._folder, self._saved, self._pause = folder, time.monotonic(), SAVE_SECONDS
        if folder is None:
            return
        question = folder / QUESTION
        if question.exists() and question.read_text(encoding="utf-8") != fingerprint:
            raise InputError(
                f"{folder} holds the beginning of other work (other run, data, settings, versions "
                "or devices): repeat what was asked then, or start anew with --overwrite"
            )
        with whole_file(question) as temporary:
            temporary.write_text(fingerprint, encoding="utf-8")

    def holds(self, part: int) -> bool:
        """Is there a beginning of a part?"""
        return self._folder is not None and self._file(part).exists()

    def load(self, part: int, like: T) -> tuple[int, T]:
        """Return how many steps of a part are done, and their result.

        Args:
          part: its number.
          like: a pytree of the result's structure.
        """
        with np.load(self._file(part)) as stored:
            leaves = [stored[f"leaf{i}"] for i in range(len(jax.tree.leaves(like)))]
            return int(stored["done"]), jax.tree.unflatten(jax.tree.structure(like), leaves)

    @property
    def due(self) -> bool:
        """Is it time to save?"""
        return self._folder is not None and time.monotonic() - self._saved >= self._pause

    def save(self, part: int, done: int, result: Any) -> None:
        """Keep the result of the first steps of a part, a pytree of arrays."""
        begun = time.monotonic()
        leaves: dict[str, Any] = {f"leaf{i}": x for i, x in enumerate(jax.tree.leaves(result))}
        with whole_file(self._file(part)) as temporary:
            np.savez(temporary, **leaves, done=done)
        self._saved = time.monotonic()
        self._pause = max(SAVE_SECONDS, PACE * (self._saved - begun))

    def _file(self, part: int) -> Path:
        """Return the file of a part."""
        assert self._folder is not None
        return self._folder / f"part{part}.npz"
