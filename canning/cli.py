"""The command line: ``canning`` or ``python -m canning``.

A subcommand is a function that takes the parsed arguments and returns an exit code; it imports modules only
when it runs, so that the help is fast. A package built on this one adds commands through an entry point of
the group `GROUP`: a function that takes the result of ``add_subparsers``, as `add_scan` does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final

from . import __version__
from .commands import add_explain, add_inspect, add_scan

GROUP: Final = "canning.commands"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code; 2 for invalid arguments.

    >>> main([])  # doctest: +ELLIPSIS
    usage: canning ...
    0
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser(argv)
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="canning",
        description="Any Python object to frames and back without copying its data, and over ZeroMQ.",
    )
    parser.add_argument("--version", action="version", version=f"canning {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for add in (add_inspect, add_scan, add_explain):
        add(commands)
    # Searching the installed packages takes longer than the rest of the help: not for our own commands.
    if not argv or argv[0] not in commands.choices:
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            entry.load()(commands)
    return parser
