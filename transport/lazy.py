"""Arrays of a message that is still on its way, which ``recv(lazy=True)`` gives."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Generator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Never

import numpy as np
import numpy.typing as npt
import zmq

from canning.errors import is_of_signal, shortened
from canning.memory.buffers import flat
from canning.memory.coming import Coming
from canning.reading.builder import PINNED
from canning.reading.reader import read_verified
from canning.types.arrays import view_array
from canning.wire.trailer import parse

from .checks import check_timeout
from .errors import TransportError, TransportTimeout
from .incoming import check_head, unreadable
from .joining import Array
from .reading import Reading
from .steps import Steps
from .stream_parts import Arriving


class Rest(NamedTuple):
    """What is still to come of a message, and how to receive until so many bytes of it are there."""

    arriving: Arriving
    socket: object
    run: Callable[[Any, Steps, float | None, str], Any]
    steps: Callable[[Arriving, int, Reading], Steps]
    how: Reading
    asynchronous: bool

    def wait(self, end: int, timeout: float | None) -> None:
        """Wait on a blocking socket."""
        try:
            self.run(self.socket, self.steps(self.arriving, end, self.how), timeout, "rcvtimeo")
        except zmq.Again:
            raise self._timeout(end) from None

    async def wait_later(self, end: int) -> None:
        """Wait on an asyncio socket."""
        try:
            await self.run(self.socket, self.steps(self.arriving, end, self.how), None, "rcvtimeo")
        except zmq.Again:
            raise self._timeout(end) from None

    def _timeout(self, end: int) -> TransportTimeout:
        return TransportTimeout(
            f"{self.arriving.received:,} bytes of a stream have come to {self.socket!r}, and {end:,} are "
            "needed: wait again"
        )


class LazyArray:
    """Stand for an array whose memory is still on its way: ``np.asarray`` waits for it, and so does `wait`.

    `transport.Receiver.recv` makes them with ``lazy=True``. Waiting receives from the socket, as `recv` does:
    use it in one thread only. If nothing refers to the arrays that are still to come, the rest of the
    message is refused.

    Attributes:
        shape, dtype: those of the array.

    >>> import threading, numpy as np
    >>> from transport import Receiver, Sender, fake_pair
    >>> here, there = fake_pair()
    >>> sender = threading.Thread(target=Sender(here, stream=True).send, args=({"x": np.ones(10_000_000)},))
    >>> sender.start()
    >>> got = Receiver(there, stream=True).recv(timeout=10, lazy=True)
    >>> got["x"].shape, got["x"].ready
    ((10000000,), False)
    >>> float(got["x"].wait(timeout=10).sum())
    10000000.0
    >>> sender.join()
    """

    __slots__ = ("_array", "_made", "_rest", "dtype", "shape")

    def __init__(self, rest: Rest, number: int, at: int, nbytes: int, *made: Any) -> None:
        self._rest: Rest | None = rest
        self._made = number, at, nbytes, made
        self._array: Array | None = None
        self.shape: tuple[int, ...] = tuple(made[0])
        self.dtype: np.dtype[Any] = made[1]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def ready(self) -> bool:
        """Tell whether the memory is there, without waiting and without receiving."""
        return self._rest is None or self._rest.arriving.received >= self._end(self._rest)

    def _end(self, rest: Rest) -> int:
        """Return how many bytes of the message have to be there."""
        return rest.arriving.ends[self._made[0]]

    @shortened
    def wait(self, timeout: float | None = None) -> npt.NDArray[Any]:
        """Wait for the array, and return it, the same each time; on asyncio sockets, ``await`` this object.

        Args:
            timeout: seconds; None waits as the socket is set (``RCVTIMEO``).

        Raises:
            TransportTimeout: the time is over; you can wait again.
            TransportError: the message will never be complete, as its sender gave up or has gone.
        """
        check_timeout(timeout)
        rest = self._rest
        if rest is not None and not self.ready:
            if rest.asynchronous:
                raise TransportError(f"{self!r} has not come: write `await` before it")
            rest.wait(self._end(rest), timeout)
        return self._view()

    def __await__(self) -> Generator[Any, None, npt.NDArray[Any]]:
        return self._wait_later().__await__()

    async def _wait_later(self) -> npt.NDArray[Any]:
        rest = self._rest
        if rest is not None and not self.ready:
            if not rest.asynchronous:
                raise TransportError(f"the socket of {self!r} blocks: use wait()")
            await rest.wait_later(self._end(rest))
        return self._view()

    def _view(self) -> npt.NDArray[Any]:
        if self._array is None:
            assert self._rest is not None
            number, at, nbytes, made = self._made
            frame = flat(self._rest.arriving.frame(number))
            memory = frame[at : at + nbytes]
            if nbytes <= frame.nbytes // PINNED:
                memory = memoryview(bytearray(memory))
            self._array, self._rest = view_array(memory, *made), None
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        array = self.wait()
        if copy or (dtype is not None and dtype != array.dtype):
            if copy is False:
                raise ValueError(f"{self!r} cannot be an array of {dtype} without a copy")
            return array.astype(dtype or array.dtype)
        return array

    def __reduce__(self) -> Never:
        raise TransportError(f"{self!r} belongs to its socket: send, pickle or copy np.asarray(...) of it")

    def __repr__(self) -> str:
        return f"<LazyArray of {self.dtype} {self.shape}, {'ready' if self.ready else 'on its way'}>"


def read_early(rest: Rest) -> Any:
    """Read the object of a message, with a `LazyArray` for each array whose memory has not come.

    Raises:
        MessageError: it cannot be read.
    """
    arriving, prefix, how = rest.arriving, rest.arriving.leading, rest.how
    there = bisect_right(arriving.ends, arriving.received)
    frames = [arriving.frame(number) for number in range(there)]
    later = [
        Coming(end - begin, partial(LazyArray, rest, number))
        for number, (begin, end) in enumerate(pairwise(arriving.ends), 1)
        if number >= there
    ]
    try:
        check_head(frames[0], how)
        trailer = parse(flat(frames[0]))
        obj = read_verified(how.reader, [*frames, *later], how.g, None, trailer)[0]
    except Exception as error:
        if is_of_signal(error):
            raise
        raise unreadable(frames, prefix, error) from error
    return (prefix, obj) if how.prefix else obj
