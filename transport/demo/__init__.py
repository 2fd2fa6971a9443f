"""A demonstration of the main job: send real data to a second process and back, and prove what happened."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["add_demo"]


def add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``demo`` to canning's commands; an entry point names this function."""
    text = "send real data and a lambda to a second process, and prove what happened to them"
    parser = commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}.")
    default = "by default a photograph and tables that matplotlib ships"
    parser.add_argument("file", nargs="?", type=Path, help=f".npy, .csv, .parquet or an image; {default}")
    parser.add_argument("--tcp", action="store_true", help="use tcp://127.0.0.1 instead of ipc://")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds for any one answer (default: 60)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from . import running  # here, since the help of all commands imports this module

    try:
        return 0 if running.run(arguments.file, tcp=arguments.tcp, timeout=arguments.timeout) else 1
    except ImportError as error:
        print(f"canning demo: {error}: pip install matplotlib pandas pillow pyarrow rich", file=sys.stderr)
    except running.DemoError as error:
        print(f"canning demo: {error}", file=sys.stderr)
    return 1
