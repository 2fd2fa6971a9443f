"""What can go wrong in the demo, said so that the next step is clear."""

from __future__ import annotations

from importlib.util import find_spec


class DemoError(Exception):
    """Say why the demo cannot go on; the text is for the person at the terminal."""


def require(*modules: str) -> None:
    """Check that modules of the `demo` extra are installed, without importing them.

    Raises:
        DemoError: some are not; the text names the extra.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise DemoError(f"the demo needs {', '.join(missing)}: pip install 'canning[demo]'")
