"""Code that is sent. Most programs send none: the larger modules are imported when one is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import by_value_pickler, by_value_types, code_source, exceptions, modules

__all__ = ["by_value_pickler", "by_value_types", "code_source", "exceptions", "modules"]


def __getattr__(name: str) -> Any:
    """Import a module of this package."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
