"""Where a study is kept, and which of the processes that share it are alive."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import SQLAlchemyError

from jaxomics.errors import InputError

BEAT_SECONDS = 10.0
"""How often a process shows that it is alive."""
GRACE_SECONDS = 120.0
"""A process that has not shown itself for so long is taken for dead."""
CONNECT_SECONDS = 20
"""How long to wait for a database."""
_PROCESS = "process:"
_LEFT = -1
_TROUBLE = (StorageInternalError, SQLAlchemyError, OSError, ImportError)


def open_storage(where: str | Path | None) -> BaseStorage:
    """Return the storage of studies.

    Args:
      where: a journal file, made where there is none, a database URL such as
        `sqlite:///study.db`, or None for this process's memory.

    Raises:
      InputError: it cannot be reached, or the file is no journal.
    """
    if where is None:
        return InMemoryStorage()
    text = str(where)
    with reaching(text):
        if "://" in text:
            return RDBStorage(text, engine_kwargs={"connect_args": _patience(text)})
        path = Path(text)
        if not path.parent.is_dir() or path.is_dir():
            raise InputError(
                f"{path}: expected a file in an existing folder for the journal of the study; "
                "make the folder, or choose another --storage"
            )
        try:
            return JournalStorage(JournalFileBackend(text))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: expected the journal of a study, found another file; choose another "
                "--storage"
            ) from error


def close_storage(storage: BaseStorage) -> None:
    """Close the connections to a database; other storages hold none."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


@contextmanager
def reaching(where: str | Path | None) -> Iterator[None]:
    """Turn the errors of a storage into one that the user can mend.

    Raises:
      InputError: the storage cannot be reached.
    """
    try:
        yield
    except _TROUBLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InputError(
            f"the storage {where} cannot be reached ({reason}); check --storage and that it can be "
            "written; finished trials are kept there, start the command again with --resume"
        ) from error


class Presence:
    """This process among those of a study: a counter in the storage that goes on while it lives.

    Use it as a context manager. Others are watched by whether their counters move on, by the
    clock of the one who watches, so that clocks of several machines need not agree.

    Attributes:
      name: unique among all processes.
    """

    def __init__(
        self,
        study: optuna.Study,
        folder: Path | None,
        *,
        beat: float = BEAT_SECONDS,
        grace: float = GRACE_SECONDS,
    ):
        """Look at who is there.

        Args:
          study: what the processes share.
          folder: run folder; an earlier process of the same folder is known to be dead.
          beat: seconds between two signs of life.
          grace: seconds without one before a process is taken for dead.

        Raises:
          InputError: the process that writes the folder still runs on this machine.
        """
        self.name = uuid.uuid4().hex[:12]
        self._study, self._beat, self._grace = study, beat, grace
        self._about = {
            "folder": None if folder is None else str(folder.resolve()),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        self._seen: dict[str, tuple[int, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._refuse_twin()

    def __enter__(self) -> "Presence":
        with reaching("of the study"):
            self._show(0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(*_TROUBLE):  # others find out by waiting
            self._show(_LEFT)

    def dead(self) -> set[str]:
        """Return the processes that have left, stand still, or wrote this folder before."""
        found, now = set(), time.monotonic()
        for name, about in self._others().items():
            beat, since = self._seen.get(name, (None, now))
            if beat != about["beat"]:
                self._seen[name] = about["beat"], now
                since = now
            mine = about["folder"] is not None and about["folder"] == self._about["folder"]
            if mine or about["beat"] == _LEFT or now - since > self._grace:
                found.add(name)
        return found

    def _others(self) -> dict[str, dict[str, Any]]:
        """Return what the other processes tell about themselves, by name."""
        with reaching("of the study"):
            told = self._study.user_attrs.items()
        named = {k.removeprefix(_PROCESS): v for k, v in told if k.startswith(_PROCESS)}
        return {name: about for name, about in named.items() if name != self.name}

    def _refuse_twin(self) -> None:
        """Raise if another process that runs on this machine writes the same folder."""
        for about in self._others().values():
            same = about["folder"] == self._about["folder"] and about["host"] == self._about["host"]
            if about["folder"] is None or not same or about["beat"] == _LEFT:
                continue
            if about["pid"] != os.getpid() and _runs(about["pid"]):
                raise InputError(
                    f"{about['folder']} is written by process {about['pid']}, which still runs; "
                    "wait for it, or help it from another --out with the same --storage"
                )

    def _live(self) -> None:
        """Show signs of life until told to stop; trouble is left to the main thread to meet."""
        beat = 0
        while not self._stop.wait(self._beat):
            beat += 1
            with suppress(*_TROUBLE):
                self._show(beat)

    def _show(self, beat: int) -> None:
        """Write the counter."""
        self._study.set_user_attr(_PROCESS + self.name, {**self._about, "beat": beat})


def _patience(url: str) -> dict[str, int]:
    """Return how long a database may take to answer, in the words of its driver."""
    if url.startswith("sqlite"):
        return {"timeout": 60}
    return {"connect_timeout": CONNECT_SECONDS} if url.startswith(("postgres", "mysql")) else {}


def _runs(pid: int) -> bool:
    """Tell whether a process of this machine is alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
