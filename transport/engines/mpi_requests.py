"""Objects on their way between ranks: wait for one, test it, or wait for several together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .mpi_link import LATE, MPI, Link
from .mpi_parts import Steps


class Request:
    """An object on its way, returned by `transport.engines.mpi.Comm`; keep it until it is complete."""

    def __init__(self, link: Link, steps: Steps) -> None:
        self._link = link
        self._steps = steps
        self._requests: list[Any] = next(steps)
        self._done: tuple[Any, Any] | None = None
        self._error: BaseException | None = None

    def wait(self, status: Any = None) -> Any:
        """Wait until it is complete; return the object that was received, None for one that was sent.

        Raises:
            DeserializationError: what came cannot be read; waiting again raises it again.
            TransportTimeout: that takes too long; you can wait again.
        """
        while self._done is None:
            self._go_on(self._link.wait)
        return self._give(status)

    def test(self, status: Any = None) -> tuple[bool, Any]:
        """Return whether it is complete, and the result of `wait`."""
        return (True, self._give(status)) if self._is_complete() else (False, None)

    def _is_complete(self) -> bool:
        while self._done is None and self._go_on(_tested):
            pass
        return self._done is not None

    def _go_on(self, look: Callable[[list[Any]], list[Any] | None]) -> bool:
        """Take the next step where all is there for it; after an error there is none, but the error."""
        if self._error is not None:
            raise self._error
        try:
            statuses = look(self._requests)
        except MPI.Exception as error:
            self._error = error
            raise
        if statuses is None:
            return False
        try:
            self._requests = self._steps.send(statuses)
        except StopIteration as end:
            self._done = end.value
        except BaseException as error:
            self._error = error
            raise
        return True

    def _give(self, status: Any) -> Any:
        obj, (found, self._done) = None, (self._done, (None, None))
        if found is not None:
            obj, came = found
            if status is not None and came is not None:
                status.Set_source(came.Get_source())
                status.Set_tag(came.Get_tag())
                status.Set_elements(MPI.BYTE, came.Get_count(MPI.BYTE))
        return obj

    @staticmethod
    def waitall(requests: Sequence[Request]) -> list[Any]:
        """Wait for requests, and give what each gives; the time limit is that of the first.

        An error of one is raised at once; the others can be waited for as before.
        """
        if requests:
            parts = (part for each in requests for part in each._requests)  # those of the last step
            requests[0]._link.until(lambda: _are_complete(requests), LATE, parts)
        return [each._give(None) for each in requests]

    @staticmethod
    def testall(requests: Sequence[Request]) -> tuple[bool, list[Any] | None]:
        """Tell whether all requests are complete, and give what each gives."""
        return (True, [each._give(None) for each in requests]) if _are_complete(requests) else (False, None)


def _are_complete(requests: Sequence[Request]) -> bool:
    complete = [each._is_complete() for each in requests]  # all of them make progress
    return all(complete)


def _tested(requests: list[Any]) -> list[Any] | None:
    """Give the status of each request if all are complete."""
    statuses = [MPI.Status() for _ in requests]
    return statuses if MPI.Request.Testall(requests, statuses) else None
