"""The command line: ``canning`` or ``python -m canning``, with the commands inspect, scan and explain.

A subcommand is a function that takes the parsed arguments and returns an exit code; it imports modules only
when it runs, so that the help is fast. A package built on this one adds commands through an entry point of
the group `GROUP`: a function that takes the result of ``add_subparsers``, as `add_scan` does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import operator
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from . import __version__
from .inspection.containers import SUFFIXES
from .inspection.explaining import explain
from .inspection.reports import UNKNOWN, ScanResult, inspect, scan
from .inspection.verdicts import CLEAN, DANGEROUS, NEEDS_CODE, ORDER, UNREADABLE

GROUP: Final = "canning.commands"
CODES: Final = {CLEAN: 0, NEEDS_CODE: 1, UNREADABLE: 2, DANGEROUS: 3}
"""Exit codes."""
_REASONS: Final = 5


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


# -- inspect, scan, explain ------------------------------------------------------------------------------


def add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``inspect``."""
    text = "show what a message, a pickle or a file of arrays holds, and run none of it"
    parser = commands.add_parser("inspect", help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="what canning, pickle, torch, joblib or numpy wrote"
    )
    parser.add_argument("--opcodes", action="store_true", help="list the opcodes too, and what comes of each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run_inspect)


def add_scan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``scan``."""
    text = "tell files that are plain data from those that need code to be read"
    parser = commands.add_parser(
        "scan",
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="Exit status: 0 if all files are clean, 1 if one needs code, 2 if one cannot be followed to "
        "its end, 3 if one is dangerous. In a folder, all files at any depth are looked at, whatever their "
        "names; those that are not pickles are skipped.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files and folders")
    parser.add_argument("--json", action="store_true", help="print JSON: a list with an object for each file")
    parser.add_argument(
        "--fail-on",
        choices=[verdict.replace(" ", "-") for verdict in ORDER[1:]],
        default="needs-code",
        help="exit with 0 unless a file is that bad, or worse (default: needs-code)",
    )
    parser.set_defaults(run=run_scan)


def add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``explain``."""
    text = "show what would become of an object if it were sent"
    parser = commands.add_parser("explain", help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("object", metavar="MODULE:OBJECT", help="where it is; its module is imported")
    parser.add_argument("--local", action="store_true", help='as with by_value="local"')
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run_explain)


def run_explain(arguments: argparse.Namespace) -> int:
    """Explain one object; 1 if it cannot be sent, 2 if it cannot be found."""
    module, _, name = arguments.object.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does, so that the command finds the same modules
    try:
        obj = operator.attrgetter(name)(importlib.import_module(module)) if name else None
    except (ImportError, AttributeError) as error:
        print(f"canning explain: {error}", file=sys.stderr)
        return 2
    if not name:
        print("canning explain: give MODULE:OBJECT", file=sys.stderr)
        return 2
    found = explain(obj, by_value="local" if arguments.local else ())
    console = _console(sys.stdout)
    if arguments.json:
        print(json.dumps(found.to_dict(), indent=1))
    elif console is None:
        print(found)
    else:
        console.print(found)
    return 1 if found.problems else 0


def run_inspect(arguments: argparse.Namespace) -> int:
    """Show one file."""
    try:
        report = inspect(arguments.file)
    except OSError as error:
        print(
            f"canning inspect: {_shown(arguments.file)}: {error.strerror or type(error).__name__}",
            file=sys.stderr,
        )
        return CODES[UNREADABLE]
    if arguments.json:
        print(json.dumps(report.to_dict(opcodes=arguments.opcodes), indent=1))
        return CODES[report.verdict]
    console = _console(sys.stdout)
    if console is None:
        print(report)
    else:
        console.print(report)
    if arguments.opcodes:
        print("\nOpcodes")
        for line in report.opcodes():
            print(line)
    return CODES[report.verdict]


def run_scan(arguments: argparse.Namespace) -> int:
    """Judge files, and show the progress on a terminal."""
    found: list[tuple[Path, ScanResult]] = []
    left_out = 0
    for path, named in _with_progress(list(_files(arguments.paths))):
        if not named and not path.is_file():  # a pipe, a device, a dangling link
            left_out += 1
            continue
        result = _judge(path)
        if not named and result.kind == UNKNOWN and path.suffix.lower() not in SUFFIXES:
            left_out += 1
        else:
            found.append((path, result))
    found.sort(key=lambda each: -ORDER.index(each[1].verdict))  # the worst first, else in the order found
    verdicts = [result.verdict for _, result in found]
    if arguments.json:
        print(json.dumps([{"path": str(path), **result.to_dict()} for path, result in found], indent=1))
    else:
        for path, result in found:
            print("\n".join(_lines(path, result)))
        if len(found) != 1 or left_out:
            total = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ORDER)
            print(total + (f"; skipped {left_out} that are not pickles" if left_out else ""))
    worst = max(verdicts, key=ORDER.index, default=CLEAN)
    return CODES[worst] if ORDER.index(worst) >= ORDER.index(arguments.fail_on.replace("-", " ")) else 0


def _judge(path: Path) -> ScanResult:
    """Scan a file; one that is not there is unreadable, and the others are scanned all the same."""
    try:
        return scan(path)
    except FileNotFoundError:
        return ScanResult(UNREADABLE, "file", ("there is no such file",))


def _files(paths: list[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the files to scan, and whether each was named; folders are searched, and links followed.

    A folder that cannot be listed counts as named: its content is unknown.
    """
    for path in paths:
        if not path.is_dir():
            yield path, True
            continue
        rest, seen = [path], set()
        while rest:
            folder = rest.pop()
            try:
                place = folder.stat()
                entries = sorted(folder.iterdir())
            except OSError:
                yield folder, True
                continue
            if (place.st_dev, place.st_ino) not in seen:  # links may form a cycle
                seen.add((place.st_dev, place.st_ino))
                rest += [entry for entry in reversed(entries) if entry.is_dir()]
                yield from ((entry, False) for entry in entries if not entry.is_dir())


def _lines(path: Path, result: ScanResult) -> list[str]:
    """Return a line for the file, and one for each reason."""
    reasons = [f"    {reason}" for reason in result.reasons[:_REASONS]]
    more = len(result.reasons) - _REASONS
    return [
        f"{result.verdict:<10}  {_shown(path)}",
        *reasons,
        *([f"    and {more} reasons more"] if more > 0 else []),
    ]


def _shown(path: Path) -> str:
    """Show a path: a file's name can hold any character, escape sequences too."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(path))


def _console(stream: Any) -> Any:
    """Return rich's console for a terminal; None without a terminal, or without rich."""
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream)


def _with_progress(files: list[tuple[Path, bool]]) -> Iterator[tuple[Path, bool]]:
    console = _console(sys.stderr) if len(files) > 1 else None
    if console is None:
        yield from files
        return
    from rich.progress import track

    yield from track(files, description="scanning", console=console, transient=True)
