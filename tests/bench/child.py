"""A process for the other end: it tells its parent things, and never outlives it.

Its standard input is a pipe that only its parent holds open. Whatever becomes of the parent, the pipe
closes, and the child ends. Every wait of the parent for the child is bounded.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Self

Say = Callable[[Any], None]

ROOT: Final = Path(__file__).parents[2]
"""Where Python finds this package, wherever the parent runs."""
LIMIT: Final = 60.0
"""Seconds that any one wait may take."""
_LAST_WORDS: Final = 1000


class ChildError(Exception):
    """The child ended, or said nothing in time."""


class Child:
    """Run a function of this package in a process of its own; a context manager, which ends that process.

    Args:
        target: ``"module:function"``, the module one of this package. It is called with a function that
            says something to the parent, and with args.
        args: what JSON can hold.
    """

    def __init__(self, target: str, *args: Any) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, target, json.dumps(args)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self.kill()
        finally:
            self._errors.close()

    def kill(self) -> None:
        """End the process at once; whoever waits for it on a connection sees that closed."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def deadline(self, seconds: float = LIMIT) -> Iterator[None]:
        """Kill the child if what is done inside takes longer."""
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def hear(self, seconds: float = LIMIT) -> Any:
        """Wait for the next thing that the child says.

        Raises:
            ChildError: it ended instead, or the time did.
        """
        return hear_all([self], seconds)[0]

    def listen(self) -> None:
        """Take what the child's pipe has; raises `ChildError` where that is its end."""
        heard = os.read(self.fileno(), 2**16)
        if not heard:
            raise ChildError(f"the other process ended: {self._last_line()}")
        self._heard += heard

    @property
    def spoken(self) -> bool:
        """Tell whether the child has said something that was not taken yet."""
        return b"\n" in self._heard

    def take(self) -> Any:
        """Give the next thing that it has said."""
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)

    def fileno(self) -> int:
        """Give the descriptor of its pipe, so that `select` can wait for a child."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _last_line(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _LAST_WORDS))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "without a word")


def hear_all(children: Sequence[Child], seconds: float = LIMIT) -> list[Any]:
    """Wait until each child has said something; one that ends instead ends the wait for all.

    Raises:
        ChildError: one ended, or the time did.
    """
    end = time.monotonic() + seconds
    while silent := [child for child in children if not child.spoken]:
        ready = select.select(silent, [], [], max(0.0, end - time.monotonic()))[0]
        if not ready:
            raise ChildError(f"the other process said nothing for {seconds:g} s")
        for child in ready:
            child.listen()
    return [child.take() for child in children]


def main() -> None:
    """Be the child: call what the command line names, and end when the parent does."""
    logging.disable(logging.CRITICAL)
    # What libraries print must not come between what is said.
    voice = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(something: Any) -> None:
        print(json.dumps(something), file=voice, flush=True)

    module, _, function = sys.argv[1].partition(":")
    target = getattr(importlib.import_module(f".{module}", __package__), function)
    target(say, *json.loads(sys.argv[2]))


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
