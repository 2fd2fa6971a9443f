"""The marks of a registry: code that is sent by value, and renamed code."""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Final, TypeVar

from ..errors import shortened
from ..forking import Lock, guarded

_HEAP_TYPE: Final = 1 << 9
T = TypeVar("T")


class Marks:
    """Hold new names for old ones, and marks of functions, classes and modules.

    Attributes:
        renames: new names by the old.
        marked: module and qualified name of functions and classes that are sent by value.
        marked_modules: names of modules that are sent by value.
        marks: whether there are any of either.
        version: counts changes.
    """

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self.renames: dict[str, str] = {}
        self.marked: frozenset[tuple[str, str]] = frozenset()
        self.marked_modules: frozenset[str] = frozenset()
        self.marks: bool = False
        self.version: int = 0

    def _copy_marks(self, other: Marks) -> None:
        other.renames = self.renames
        other.marked, other.marked_modules = self.marked, self.marked_modules
        other.marks = self.marks

    @shortened
    @guarded
    def register_rename(self, old: str, new: str) -> None:
        """Read the module, class or function that messages call `old` as `new`.

        It applies to readers under ``trust="code"``, even if the old name still exists, and to everything
        within the renamed module or class; the longest name decides.

        >>> import decimal, pickle
        >>> from canning import Registry, Serializer
        >>> pickled = pickle.dumps(decimal.Decimal).replace(b"decimal", b"oldshop")
        >>> registry = Registry()
        >>> registry.register_rename("oldshop", "decimal")
        >>> Serializer(registry=registry).deserialize_object([pickled])[0]
        <class 'decimal.Decimal'>
        """
        check_name(old)
        check_name(new)
        self.renames = {**self.renames, old: new}

    @shortened
    @guarded
    def unregister_rename(self, old: str) -> None:
        """Forget a new name; raises `KeyError` if there is none."""
        renames = dict(self.renames)
        del renames[old]
        self.renames = renames

    @shortened
    @guarded
    def by_value(self, obj: T) -> T:
        """Mark a function, class or module to be sent by value; return it.

        You can pass the name of a module, too.

        The object is not changed. A function or class is sent as its code, with its methods and nested
        classes; other objects that it needs of its module are sent as usual. A module is sent as its source,
        a package with all its modules, but without other modules that it imports: mark those too.

        >>> from canning import Registry
        >>> registry = Registry()
        >>> registry.by_value(check_name) is check_name
        True
        """
        if isinstance(obj, types.ModuleType | str):
            self.marked_modules |= {_known(module_name(obj))}
        else:
            self.marked |= {_mark_of(obj)}
        self.marks = bool(self.marked or self.marked_modules)
        self.version += 1
        return obj

    @shortened
    @guarded
    def by_reference(self, obj: T) -> T:
        """Undo `by_value`; return the object.

        >>> from canning import Registry
        >>> registry = Registry()
        >>> registry.by_reference(registry.by_value(check_name)) is check_name
        True
        """
        if isinstance(obj, types.ModuleType | str):
            self.marked_modules -= {module_name(obj)}
        else:
            self.marked -= {_mark_of(obj)}
        self.marks = bool(self.marked or self.marked_modules)
        self.version += 1
        return obj

    def goes_by_value(self, code: object) -> bool:
        """Tell whether a function or class, or a class around it, was marked."""
        if not self.marked:
            return False
        module, name = getattr(code, "__module__", ""), getattr(code, "__qualname__", "")
        while name:
            if (module, name) in self.marked:
                return True
            name = name.rpartition(".")[0]
        return False


def check_name(name: object) -> None:
    """Raise `TypeError` or `ValueError` for an object that cannot be a dotted name."""
    if not isinstance(name, str):
        raise TypeError(f"renames are dotted names, old to new, not {type(name).__name__}")
    if not all(name.split(".")):
        raise ValueError(f"{name!r} is not a dotted name")


def _mark_of(obj: object) -> tuple[str, str]:
    if not isinstance(obj, type | types.FunctionType):
        raise TypeError(
            f"by_value marks functions, classes and modules written in Python, not {type(obj).__name__}"
        )
    if isinstance(obj, type) and not obj.__flags__ & _HEAP_TYPE:
        raise TypeError(f"{obj.__qualname__} is compiled, and cannot travel by value")
    return obj.__module__, obj.__qualname__


def module_name(module: types.ModuleType | str) -> str:
    """Return the name of a module, given as itself or by its name."""
    return module if isinstance(module, str) else module.__name__


def _known(name: str) -> str:
    """Raise an error unless a module exists, as far as its package tells; nothing is imported."""
    top = name.partition(".")[0]
    if top not in sys.modules and (not top or importlib.util.find_spec(top) is None):
        raise ValueError(f"by_value: there is no module {name!r}")
    return name
