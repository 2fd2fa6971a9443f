"""pandas: frequencies by their names, and what it takes to see whether times keep to one."""

from __future__ import annotations

import functools
from typing import Any, Final

import pandas
from pandas.tseries.frequencies import to_offset

from ..budget import charge
from .checks import need

pd: Any = pandas  # whose inner ways its stubs do not know
_SLOW: Final = {
    "B": 20_000,
    "bh": 30_000,
    "C": 35_000,
    "cbh": 90_000,
    "CBMS": 120_000,
    "CBME": 120_000,
    "WOM": 30_000,
    "LWOM": 30_000,
    "RE": 35_000,
    "REQ": 350_000,
}
"""Nanoseconds that pandas takes to go from one time to the next, two to three times what was measured."""
_STEP: Final = 7000
"""The same of all others: calendar months, quarters, years and halves of months."""
_TICK: Final = 200
_LETTER: Final = 300
"""What a letter of a frequency costs, in items of 50 ns."""
_MULTIPLE: Final = 50
"""Nanoseconds for each of the units that a step consists of."""


@functools.lru_cache(maxsize=64)
def freq_text(freq: Any) -> str | None:
    """Give the text of a frequency; None where it says less than the frequency."""
    text: str = freq.freqstr
    try:
        return text if to_offset(text) == freq else None
    except ValueError:
        return None


def to_freq(text: str) -> Any:
    """Make a frequency of its text."""
    need(type(text) is str and len(text) <= 64, "a frequency that is none")
    charge(_LETTER * len(text), 100 * len(text))  # it may be a sum of many, each with a fraction
    return to_offset(text)


def period_dtype(text: str) -> Any:
    """Make the dtype of periods of a frequency, which pandas then does not keep for good."""
    freq = to_freq(text)
    kept: dict[Any, Any] = getattr(pd.PeriodDtype, "_cache_dtypes", {})
    known = freq in kept
    made = pd.PeriodDtype(freq)
    if not known:
        kept.pop(freq, None)
    return made


def charge_frequency(freq: object, count: int) -> None:
    """Count what pandas takes to see whether so many times keep to a frequency, from each to the next.

    Raises `DeserializationError` where that is more time than what arrived is good for.
    """
    charge(_price(freq) * count // 50, 40 * count)


def _price(freq: Any) -> int:
    if isinstance(freq, pd.offsets.Tick):
        return _TICK
    prefix = freq.rule_code.partition("-")[0]
    slow = prefix in _SLOW and not (prefix == "B" and freq.n == 1)
    times: int = abs(freq.n)
    return (_SLOW[prefix] if slow else _STEP) + _MULTIPLE * times
