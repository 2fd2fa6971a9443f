"""All attacks in one list."""

from __future__ import annotations

from typing import Final

from . import by_chain, by_effect, by_execution, by_import, by_load, by_ours, by_process, by_structure
from .gadget import Gadget

GADGETS: Final[list[Gadget]] = [
    *by_execution.SHELLS,
    *by_execution.INTERPRETERS,
    *by_import.IMPORTS,
    *by_import.LOADERS,
    *by_effect.FILES,
    *by_effect.NETWORK,
    *by_process.PROCESS,
    *by_chain.ALL,
    *by_structure.ALL,
    *by_ours.ALL,
    *by_load.ALL,
]
