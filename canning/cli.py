"""The command line: ``canning`` or ``python -m canning``.

A subcommand is a function that takes the parsed arguments and returns an exit code; it imports what it
needs when it runs, so that the help costs nothing and this package stays free of sockets.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code; 2 for arguments that make no sense.

    >>> main([])  # doctest: +ELLIPSIS
    usage: canning ...
    0
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    from .commands import add_explain, add_inspect, add_scan

    parser = argparse.ArgumentParser(
        prog="canning",
        description="Any Python object to frames and back without copying its data, and over ZeroMQ.",
    )
    parser.add_argument("--version", action="version", version=f"canning {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_demo(commands)
    add_inspect(commands)
    add_scan(commands)
    add_explain(commands)
    _add_bench(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="send real data and a lambda to a second process, and prove what happened to them",
        description="Send real data and a lambda to a second process, and prove what happened to them.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help=".npy, .csv, .parquet or an image; by default a photograph and tables that matplotlib ships",
    )
    parser.add_argument("--tcp", action="store_true", help="use tcp://127.0.0.1 instead of ipc://")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="for any one answer (default: 60)"
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from transport.demo import DemoError, run

    try:
        return 0 if run(arguments.file, tcp=arguments.tcp, timeout=arguments.timeout) else 1
    except DemoError as error:
        print(f"canning demo: {error}", file=sys.stderr)
        return 1


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "measure canning beside its peers on this machine, in one run"
    parser = commands.add_parser(
        "bench",
        help=text,
        description=f"{text[0].upper()}{text[1:]}: those that are installed, on the same objects by turns.",
        epilog="Exit status: 1 where canning did not bring back what was sent, 2 where a name is unknown.",
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: all; a wrong one lists them")
    parser.add_argument("--only", metavar="ROW,...", help="rows to measure, * and ? match: arr_*,tcp-100B")
    parser.add_argument("--peers", metavar="NAME,...", help="peers to measure, * and ? match; default: all")
    parser.add_argument("--quick", action="store_true", help="try everything once; the numbers are rough")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, help="write plots, tables and numbers")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep what FOLDER or FILE has of other rows",
    )
    parser.set_defaults(run=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    from transport.bench.command import main as measure

    try:
        return measure(arguments)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        print("canning bench: its tables need rich: pip install 'canning[bench]'", file=sys.stderr)
        return 2
