"""The registrations of types, also by the names of types that are not imported yet."""

from __future__ import annotations

import builtins
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..errors import (
    CanningError,
    DeserializationError,
    SerializationError,
    is_of_signal,
    shortened,
)
from ..forking import guarded
from ..provided import provides
from .canner import LIKE, Canner
from .libraries.known import is_imported, load_canner, public_name
from .marks import Marks

_NEVER_ASKED: Final = frozenset(
    (
        *("int", "float", "bool", "str", "bytes", "bytearray", "list", "dict", "tuple", "set"),
        *("frozenset", "NoneType", "type", "function"),
    )
)
_DOTTED: Final = r"[^/:]+"
"""Names that users register; those of canning's own states have a version behind a slash or a colon."""


class Registry(Marks):
    """Know how to send instances of each type.

    A type is looked up by itself first, then by its bases in their order. You can give a type by its dotted
    name, which imports nothing: the name is compared once the module is imported. Both a package's alias
    (``"pandas.DataFrame"``) and the class's own name (``"pandas.core.frame.DataFrame"``) are found.

    >>> registry = Registry()
    >>> registry.register(complex, can=lambda z: (z.real, z.imag), uncan=lambda parts: complex(*parts))
    >>> registry.find(complex).name
    'complex'
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_name: dict[str, Canner] = {}
        self._by_type: dict[type, str] = {}
        # Canning's own types that were asked for, by public name; None if unregistered.
        self._ecosystem: dict[str, Canner | None] | None = None
        self.overrides_arrays: bool = False

    def __reduce__(self) -> str:
        """Pickle by name, which only the default registry has: functions registered here stay here."""
        if self is not default_registry:
            raise SerializationError("a Registry of your own cannot be sent: make it where it is used")
        return "default_registry"

    @shortened
    @guarded
    def register(
        self,
        type_or_name: type | str,
        can: Callable[[Any], Any] | None = None,
        uncan: Callable[..., Any] | None = None,
        *,
        like: str | None = None,
        data: bool | Callable[[Any], Any] = False,
        exact: bool = False,
    ) -> None:
        """Register how instances of a type are sent; replaces an earlier registration.

        Sender and receiver must both register the type, under the same name.

        Args:
            type_or_name: a type, or its dotted name, which imports nothing.
            can: a function that returns the state of an instance: any object that can be sent, in which
                arrays and buffers are not copied, or a `CannedObject`. If it returns NotImplemented, the
                instance is left to pickle.
            uncan: a function that builds an instance from the state. If it has a parameter named `cls`, it
                gets the class of the instance, and so serves subclasses.
            like: replaces both functions for types that only wrap memory: ``"dlpack"`` (on the CPU; built
                with the package's own ``from_dlpack``), ``"buffer"`` or ``"array_interface"`` (built by
                calling the class with an array). If you pass `uncan` too, it gets the array.
            data: True promises that `uncan` is safe with any state that a stranger makes up. A function is
                used instead of `uncan` for such state.
            exact: True leaves instances of subclasses to pickle.

        >>> from fractions import Fraction
        >>> registry = Registry()
        >>> registry.register(Fraction, can=Fraction.as_integer_ratio, uncan=lambda x: Fraction(*x))
        >>> registry.find(Fraction).name
        'fractions.Fraction'
        """
        if isinstance(type_or_name, str):
            name = _checked_name(type_or_name)
        elif isinstance(type_or_name, type):
            name = dotted_name(type_or_name)
        else:
            raise TypeError(
                f"register takes a type or its dotted name, not an instance of {type(type_or_name).__name__}"
            )
        if like is not None:
            can, uncan = _alike(name, like, can, uncan)
        for what, function in (("can", can), ("uncan", uncan)):
            if not callable(function) and not (what == "uncan" and function is None):
                raise TypeError(f"{what}= for {name} must be callable, not {type(function).__name__}")
        if name in _NEVER_ASKED:
            raise TypeError(f"{name} cannot be registered: the pickler sends it without asking anyone")
        assert can is not None
        canner = Canner(name, can, uncan, data, uncan is not None and _takes_class(uncan), exact)
        self._by_name[name] = canner
        if isinstance(type_or_name, type):
            self._by_type[type_or_name] = name
        self._changed()

    @shortened
    @guarded
    def unregister(self, type_or_name: type | str) -> None:
        """Forget a registration; raises `KeyError` if there is none.

        A type that canning knows from the start is then left to pickle.
        """
        if not isinstance(type_or_name, str | type):
            raise TypeError(f"unregister takes a type or its dotted name, not {type(type_or_name).__name__}")
        name = type_or_name if isinstance(type_or_name, str) else dotted_name(type_or_name)
        if name not in self._by_name and self._forget_shipped(name):
            return
        del self._by_name[name]
        for cls in [cls for cls, known in list(self._by_type.items()) if known == name]:
            self._by_type.pop(cls, None)
        self._changed()

    @guarded
    def copy(self) -> Registry:
        """Make a copy, which further registrations change independently."""
        other = Registry()
        other._by_type = dict(self._by_type)
        other._by_name = dict(self._by_name)
        other._ecosystem = None if self._ecosystem is None else dict(self._ecosystem)
        self._copy_marks(other)
        other._changed()
        return other

    def _changed(self) -> None:
        self.version += 1
        self.overrides_arrays = self.find(np.ndarray) is not None

    def find(self, cls: type) -> Canner | None:
        """Find the registration for `cls`, or for the nearest of its bases."""
        if not self._by_name and self._ecosystem is None:
            return None
        if self._by_name:
            self._resolve_names()
        for base in cls.__mro__:
            canner = self.find_exact(base)
            if canner is not None and (base is cls or not canner.exact):
                return canner
        return None

    def find_exact(self, cls: type) -> Canner | None:
        """Find the registration for `cls` itself."""
        name = dotted_name(cls)
        registered = self._by_name.get(self._by_type.get(cls, name)) or self._by_name.get(name)
        return registered or self._shipped(name, SerializationError)

    def is_users(self, name: str) -> bool:
        """Tell whether a type of this name was registered by the user, and not by canning."""
        return name in self._by_name

    def specified(self, canner: Canner) -> Canner:
        """Return the canner of the specified state of a type of canning's own, for portable messages.

        If there is none, or the user registered the type, it is the usual canner.
        """
        known = None if self.is_users(canner.name) else self._shipped(f"{canner.name}/1", SerializationError)
        return known or canner

    def by_name(self, name: str, *, imports: bool = True) -> Canner:
        """Return the registration that a message names; raises `DeserializationError` if there is none.

        Without `imports`, a type that canning knows from the start is found only if its package is imported
        already.
        """
        canner = self._by_name.get(name)
        if canner is None and self._ecosystem:
            canner = self._ecosystem.get(name)
        if canner is None and (imports or self._is_ready(name)):
            canner = self._shipped(name, DeserializationError)
        if canner is None and not re.fullmatch(_DOTTED, name):
            raise DeserializationError(f"this message holds a {name}, of a newer canning: update this one")
        if canner is None:
            raise DeserializationError(
                f"this message holds a {name}, which the sender registered and this side did not: "
                f"call canning.register({name!r}, can=..., uncan=...) here too"
            )
        return canner

    def _shipped(self, name: str, error: Callable[[str], CanningError]) -> Canner | None:
        """Return canning's own canner for a type, by any of the type's names."""
        known = None if self._ecosystem is None else public_name(name)
        if known is None:
            return None
        assert self._ecosystem is not None
        if known not in self._ecosystem:
            canner = load_canner(known, error)
            self._ecosystem.setdefault(known, canner)  # another thread may have been here meanwhile
        return self._ecosystem[known]

    def _is_ready(self, name: str) -> bool:
        if self._ecosystem is None or public_name(name) is None or is_imported(name):
            return True
        package = name.partition(".")[0]
        raise DeserializationError(
            f"this message holds a {name}, and a stranger's message imports nothing: "
            f"import {package} before you read it"
        )

    def _forget_shipped(self, name: str) -> bool:
        known = None if self._ecosystem is None else public_name(name)
        if known is None or self._shipped(known, SerializationError) is None:
            return False
        assert self._ecosystem is not None
        self._ecosystem[known] = None
        self._changed()
        return True

    def brings(self, name: str) -> bool:
        """Tell whether a message of this type is read by a decoder of canning's own."""
        if self._ecosystem is None or name in self._by_name:
            return False
        known = public_name(name)
        return known is not None and self._ecosystem.get(known, ...) is not None

    @guarded
    def _resolve_names(self) -> None:
        """Find the types behind dotted names whose modules are imported by now."""
        for name in self._by_name.keys() - self._by_type.values():
            module, _, attribute = name.rpartition(".")
            known = getattr(sys.modules.get(module), "__dict__", {})
            found = known.get(attribute)  # asking the module could import one, within this lock
            if isinstance(found, type):
                self._by_type[found] = name


def _alike(name: str, like: str, can: object, uncan: Any) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    if like not in LIKE or can is not None:
        raise TypeError(f"like= for {name} is one of {', '.join(LIKE)}, and replaces can=")
    look, build = LIKE[like]
    return look, uncan or build(name)


def dotted_name(cls: type) -> str:
    """Return a class's own name, ``module.qualname``; builtins without their module.

    >>> import collections
    >>> dotted_name(collections.OrderedDict), dotted_name(int)
    ('collections.OrderedDict', 'int')
    """
    module: str = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _checked_name(name: str) -> str:
    parts = name.split(".")
    dotted = all(part.isidentifier() or part == "<locals>" for part in parts)
    if not dotted or (len(parts) == 1 and not hasattr(builtins, name)):
        raise ValueError(
            f"{name!r} names no type: a dotted name starts with the module, as 'pandas.DataFrame'"
        )
    return name


def _takes_class(function: Callable[..., Any]) -> bool:
    try:
        return "cls" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without a signature
        return False


def rebuild(registry: Registry, name: str, state: object, cls: type | None) -> Any:
    """Call the `uncan` that `registry` has under a name."""
    canner = registry.by_name(name)
    if canner.uncan is None:
        raise TypeError(f"{name} is registered without uncan=, and this message holds plain state for it")
    try:
        return canner.uncan(state) if cls is None else canner.uncan(state, cls=cls)
    except (CanningError, MemoryError, RecursionError):
        raise
    except Exception as error:
        if is_of_signal(error):
            raise
        raise DeserializationError(f"the uncan of {canner.name} raised {type(error).__name__}") from error


def _default() -> Registry:
    registry = Registry()
    registry._ecosystem = {}
    return registry


default_registry: Final = _default()
"""The registry that `canning.register` fills, and that every `Serializer` without its own uses."""


@provides("rebuild")
def _rebuild(name: str, state: object, cls: type | None) -> Any:
    return rebuild(default_registry, name, state, cls)
