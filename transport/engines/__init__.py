"""canning inside the engines that people run; one module each, imported only by who uses it."""

from .layout import EngineError, UnknownEngine

__all__ = ["EngineError", "UnknownEngine"]
