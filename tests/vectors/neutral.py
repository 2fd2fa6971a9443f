"""What an object holds, as JSON that any language can say."""

from __future__ import annotations

from typing import Any


def same(stated: Any, given: Any, where: str = "") -> str | None:
    """Say where two neutral values differ first; None where they are the same.

    >>> same([1, {"set": [1, 2]}], [1.0, {"set": [2, 1]}])
    >>> same({"bytes": "00"}, {"bytes": "01"})
    "['bytes']: '01' instead of '00'"
    """
    differs = f"{where}: {given!r:.80} instead of {stated!r:.80}"
    if isinstance(stated, list) and isinstance(given, list):
        if len(stated) != len(given):
            return f"{where}: {len(given)} items instead of {len(stated)}"
        pairs = [(f"[{number}]", *pair) for number, pair in enumerate(zip(stated, given, strict=True))]
    elif isinstance(stated, dict) and isinstance(given, dict):
        if stated.keys() != given.keys():
            return differs
        pairs = [
            (f"[{name!r}]", _in_order(name, stated[name]), _in_order(name, given[name])) for name in stated
        ]
    elif isinstance(stated, bool) or isinstance(given, bool) or stated != given:
        return None if stated is given else differs
    else:
        return None
    return next((found for step, *pair in pairs if (found := same(*pair, where + step))), None)


def _in_order(name: str, value: Any) -> Any:
    """Sort what has no order."""
    return sorted(value, key=repr) if name in ("set", "dict") and isinstance(value, list) else value
