"""What a run tells while it runs: JSON lines for programs, a progress line for people."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm


class Progress:
    """A progress bar on a terminal, a plain line now and then elsewhere, silence on request.

    Attributes:
      quiet: print nothing.
      stream: where to print; stderr, because stdout is for results.
    """

    def __init__(
        self, label: str, total: int, *, quiet: bool = False, stream: TextIO | None = None
    ):
        self.quiet = quiet
        self.stream = stream or sys.stderr
        self._label, self._total = label, total
        self._started = self._printed = time.monotonic()
        self._first: int | None = None
        self._bar = None
        if not quiet and self.stream.isatty():
            self._bar = tqdm(total=total, desc=label, file=self.stream, unit="epoch")

    def update(self, done: int, message: str) -> None:
        """Tell that `done` of the total are finished."""
        if self._first is None:
            self._first, self._started = done, time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(message, refresh=False)
            self._bar.update(done - self._bar.n)
        elif not self.quiet and (time.monotonic() - self._printed > 10 or done == self._total):
            self._printed = time.monotonic()
            print(
                f"{self._label}: {done}/{self._total}, {self._left(done)}{message}",
                file=self.stream,
            )

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()

    def _left(self, done: int) -> str:
        """Return the estimated time left."""
        fresh = done - (self._first or 0)
        if fresh <= 0 or done >= self._total:
            return ""
        seconds = (time.monotonic() - self._started) / fresh * (self._total - done)
        return f"about {seconds:.0f} s left, "


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append one JSON line per row."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON-lines file; a last line that was cut off is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def rewind_lines(path: Path, epochs: int | Sequence[int]) -> list[dict[str, Any]]:
    """Drop what was logged after the first `epochs` epochs; return the rows that stay.

    Args:
      path: file of rows; `epoch` counts from 1.
      epochs: one number for all rows, or one per replica; rows of further replicas are dropped.
    """

    def known(row: dict[str, Any]) -> bool:
        if isinstance(epochs, int):
            return row["epoch"] <= epochs
        return row["replica"] < len(epochs) and row["epoch"] <= epochs[row["replica"]]

    rows = [row for row in read_lines(path) if known(row)]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    temporary.replace(path)
    return rows
