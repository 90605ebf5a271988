"""One writer per run: an advisory lock that the system releases even after kill -9."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from matdisc.errors import ConfigError

__all__ = ["FileLock"]

logger = logging.getLogger(__name__)


class FileLock:
    """Exclusive lock on a small file that holds the writer's process id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ConfigError: If another process holds it.
        """
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor)
        except BlockingIOError as error:
            owner = os.read(self._descriptor, 32).decode(errors="replace").strip() or "unknown"
            self.release()
            raise ConfigError(
                f"another process (id {owner}) is writing this run; wait for it or stop it "
                f"(lock: {self._path})"
            ) from error
        except OSError as error:  # a network file system without locks
            logger.warning("no file locks at %s (%s): start this run only once", self._path, error)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would let two writers in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def discard(self) -> None:
        """Remove the file of a lock that is not needed again."""
        self._path.unlink(missing_ok=True)


if sys.platform == "win32":  # untested

    def _lock(descriptor: int) -> None:
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from error

else:

    def _lock(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
