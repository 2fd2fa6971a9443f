"""Report the progress of a transfer: to a function, and to a bar in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[int, int], object]
"""Called with the bytes done and the total; in the last call both are equal."""


@contextmanager
def watching(on_progress: OnProgress | None, progress: bool, what: str) -> Iterator[OnProgress]:
    """Return the function to report to: it calls `on_progress`, and with `progress` moves a bar.

    Args:
        on_progress: the function to call; its errors are passed on.
        progress: show a bar of rich's on the standard error output.
        what: the text before the bar.

    Raises:
        ImportError: rich is missing for a bar; the error names the extra.

    >>> with watching(lambda done, total: print(done, "of", total), False, "sending") as report:
    ...     report(1, 2)
    1 of 2
    """
    if not progress:
        yield on_progress or (lambda _done, _total: None)
        return
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ImportError as error:
        raise ImportError(
            "progress=True shows a bar of rich: pip install rich, or pass on_progress="
        ) from error
    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if on_progress is not None:
                on_progress(done, total)

        yield report
