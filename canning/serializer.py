"""The complete way of an object: to a list of frames, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Never, Self, Unpack

from .arguments import check_bools, check_call, check_namespace
from .code.renaming import NO_RENAMES, Renames
from .code.wanted import Wanted
from .codecs.coding import Chooser, Codec, Codecs, codec_of, default_codecs, load_safe_codecs
from .errors import SerializationError, shorten, shortened
from .files import Files
from .limits import DEFAULT_LIMITS, Limits
from .memory.buffers import Frame, listed
from .options import (
    SerializerOptions,
    check_choices,
    check_kinds,
    lasts,
    reducers_of,
    unknown_option,
)
from .provided import provides
from .reading.options import Mismatch, Missing, Prefer, Trust
from .reading.reader import read_call, read_message, read_verified
from .types.allowed import Allowed, names_of
from .types.canned import Namespace
from .types.registry import Registry, default_registry
from .wire.keys import KeyOption, as_keys, sign
from .writing.attempts import ByValueAs, Pickler, WriteOptions
from .writing.draft import Draft, Message, encoded, frames
from .writing.messages import write, write_call

if TYPE_CHECKING:
    pass

_KEPT: Final = 16
"""Serializers with other options that are kept: making one takes 65 µs, and finding it 0.7."""


class Serializer(Files, WriteOptions):
    """Hold all options; immutable, and safe to use from several threads.

    Options:
        registry: the types that canning knows, and yours; `canning.default_registry`.
        pickler: ``"auto"`` (default) sends by value what the receiver cannot import: lambdas, local functions
            and classes, and everything in ``__main__``. ``"named"`` does the same, but sends what is in
            ``__main__`` by name, for processes that share the script. ``"pickle"`` sends all code by name,
            ``"cloudpickle"`` asks cloudpickle for every function and class, ``"dill"`` is dill's pickler
            (slow; needs the package ``dill``).
        buffer_threshold: arrays and buffers of this many bytes get frames of their own; smaller ones go
            into the header. 1024 by default. `bytes` and `bytearray` get frames from 64 KiB on.
        writable: True copies arrays that were writable, if the memory of their frame is read-only. False by
            default.
        trust: ``"code"`` (default): the C unpickler reads messages, so **their authors can run any code
            here**, as with pickle. ``"data"``: a reader of plain data reads them, which imports nothing and
            calls only constructors that check their arguments; see ``docs/security.md``.
        allow: classes, or their dotted names, that a message may contain under ``trust="data"``:
            dataclasses, attrs classes, named tuples, enums. Their fields are set one by one. None by
            default.
        limits: bounds on a message under ``trust="data"``, a `Limits`.
        renames: a dict from old names of modules, classes and functions to new ones, used even if the old
            name still exists. None by default.
        missing: ``"error"`` (default): reading fails with a `MissingModule` or `MissingClass` if this process
            lacks code that the message names. ``"stub"``: you get a `Stub`. Both under ``trust="code"``.
        by_value: modules to send as source if code in the message needs them: ``"local"`` for all that
            are not installed, or a list of modules and names. None by default. See ``docs/code.md``.
        prefer: which module to use if the reader has one of the same name: ``"own"`` (default) or ``"sent"``.
        by_value_as: how functions by value are sent: as ``"code"`` (default) or as ``"source"``.
        on_version_mismatch: ``"auto"`` (default) refuses code of another minor version of Python, and warns
            if numpy, or a package that the message needs, has another version. ``"error"`` or ``"warn"``
            for both, or ``"ignore"``.
        key: signs what you send, and refuses messages without a signature of the same key: `bytes` of 16 or
            more, as `new_key` makes them, or the path of a file that holds them. Of several keys, the first
            signs, and each is accepted. None by default.
        codec: compresses frames, or replaces them otherwise: the id of a registered codec, such as
            ``"lz4"``, ``"zstd"`` and ``"blosc2"``, a `Codec`, or a `Chooser` such as `Adaptive`. None by
            default.
        codecs: the codecs that messages may have been encoded with; `canning.default_codecs`.
        dispatch_table: functions that reduce instances of exactly these types, as in
            `copyreg.dispatch_table`; they come before everything that canning knows. None by default; dill
            ignores it.
        interactive: True sends functions by value without their globals: functions of ``__main__`` then use
            the reader's `g`, others their module, which the reader imports. False by default: functions
            take along the globals that they use.
        portable: True writes messages that other languages can read: plain data, arrays, dates, tables and
            tensors, described in JSON too; see ``docs/wire-format.md``. Anything else is a
            `SerializationError`. False by default.

    >>> serializer = Serializer(buffer_threshold=100)
    >>> len(serializer.serialize_object([memoryview(b"x" * 200)]))
    2
    """

    allow: frozenset[type | str]
    _evolved: dict[object, Self]

    @shortened
    def __init__(
        self,
        *,
        registry: Registry = default_registry,
        pickler: Pickler = "auto",
        buffer_threshold: int = 1024,
        writable: bool = False,
        trust: Trust = "code",
        allow: Iterable[type | str] | type | str = (),
        limits: Limits = DEFAULT_LIMITS,
        renames: Mapping[str, str] | Renames = NO_RENAMES,
        missing: Missing = "error",
        by_value: str | Iterable[ModuleType | str] | Wanted = (),
        prefer: Prefer = "own",
        by_value_as: ByValueAs = "code",
        on_version_mismatch: Mismatch = "auto",
        key: KeyOption = None,
        codec: Codec | Chooser | str | None = None,
        codecs: Codecs = default_codecs,
        interactive: bool = False,
        dispatch_table: Mapping[type, Callable[[Any], Any]] | None = None,
        portable: bool = False,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise unknown_option(type(self), unknown)
        check_choices(pickler=pickler, trust=trust, missing=missing, prefer=prefer)
        check_choices(by_value_as=by_value_as, on_version_mismatch=on_version_mismatch)
        check_kinds(registry, limits, codecs, buffer_threshold)
        check_bools(writable=writable, interactive=interactive)
        allow = names_of(allow)
        renames = renames if isinstance(renames, Renames) else Renames(renames)
        vars(self).update(
            {name: value for name, value in locals().items() if name in SerializerOptions.__annotations__},
            by_value=by_value if isinstance(by_value, Wanted) else Wanted(by_value),
            key=as_keys(key),
            codec=codec_of(codec, codecs),
            dispatch_table=reducers_of(dispatch_table),
            allowed=Allowed(allow),
            finds=bool(renames) or missing != "error",
            writers=[],
            _evolved={},
        )
        if trust == "data":
            load_safe_codecs()

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SerializerOptions.__annotations__}

    def __repr__(self) -> str:
        """Name the options that are not the default; a `Key` shows nothing of itself."""
        usual = default_serializer._options()
        told = (f"{name}={value!r}" for name, value in self._options().items() if value != usual[name])
        return f"{type(self).__name__}({', '.join(told)})"

    def evolve(self, **options: Unpack[SerializerOptions]) -> Self:
        """Make a serializer with some options changed; raises `TypeError` for an unknown option.

        >>> Serializer().evolve(buffer_threshold=64).buffer_threshold
        64
        """
        if not options:
            return self
        given = (*options.items(), *map(type, options.values()))  # True is 1, and 1.0 too
        try:
            made = self._evolved.get(given)
        except TypeError:  # a list, say
            made = None
        if made is not None:
            return made
        made = type(self)(**{**self._options(), **options})
        if all(lasts(name, value) for name, value in options.items()):
            if len(self._evolved) >= _KEPT:
                self._evolved.clear()
            self._evolved[given] = made
        return made

    def __reduce__(self) -> Any:
        """Travel as the options; the default one, and so ``canning.serialize_object``, by name."""
        if self.key is not None:
            raise SerializationError("a Serializer with a key cannot be sent: make it where it is used")
        if self is default_serializer:
            return "default_serializer"
        return _serializer_of, (type(self), self._options())

    # -- out ---------------------------------------------------------------------------------------

    def serialize_object(
        self, obj: object, threshold: int | None = None, /, **options: Unpack[SerializerOptions]
    ) -> list[Frame]:
        """Turn an object into frames: a header, and the memory of its arrays and buffers, uncopied.

        Memory of `threshold` bytes and more (1024 by default; ``buffer_threshold=`` says the same) gets a
        frame of its own, at any depth; that of `bytes` and `bytearray` from 64 KiB on. Smaller memory is
        copied into the header. Frames are flat views of the object's own memory: change it only when they
        have been sent. `options` are those of `Serializer`. Raises `SerializationError`, with the path to the
        culprit, if something cannot be pickled, and `MemoryError`.

        >>> import numpy as np
        >>> header, memory = serialize_object({"weights": np.zeros(1000)})
        >>> memory.nbytes
        8000
        """
        if threshold is not None:
            options["buffer_threshold"] = threshold
        try:
            how = self.evolve(**options) if options else self
            message = write(how, obj)
        except Exception as error:
            shorten(error)
            raise error
        if type(message) is Draft:
            message = frames(message) if how.codec is None else how._frames(message)
        return message if how.key is None else sign(message, how.key)

    def finish(self, messages: Iterable[Message], extensions: bytes = b"") -> list[Frame]:
        """Turn the results of `write` and `write_call` into frames, in order; with a key, sign them all.

        One signature covers all objects, so none can be omitted or replaced; objects that `serialize_object`
        signed one by one could be. `extensions` go into the first header, which must then be signed. Before
        this call, the functions of `canning.writing.draft` can adapt messages to their transport.
        """
        chain: list[Frame] = []
        for message in messages:
            chain += message if isinstance(message, list) else self._frames(message)
        return chain if self.key is None else sign(chain, self.key, extensions)

    def _frames(self, draft: Draft) -> list[Frame]:
        return frames(draft if self.codec is None or not draft.buffers else encoded(draft, self.codec))

    # -- in ----------------------------------------------------------------------------------------

    def deserialize_object(
        self, frames: Sequence[Any], g: Namespace | None = None, **options: Unpack[SerializerOptions]
    ) -> tuple[Any, list[Any]]:
        """Build the first object of a message, and return it with the rest: **as with pickle, code can run**.

        `frames` are bytes, bytearray, memoryview, `zmq.Frame` or anything else with the buffer
        protocol. Arrays are views of them, so a frame lives as long as its array does. `g` is the
        namespace in which references are looked up and functions by value run. A frame 0 without a
        trailer is read as a plain pickle.

        With ``trust="code"``, the default here, the C unpickler reads the header: **the message's author can
        run any code.** ``trust="data"`` runs none of it, and is the default of `load` and `loads`. Raises
        `DeserializationError` if the message is damaged or names code that this process lacks, and, with a
        key, `AuthenticationError` if it is not signed with that key.

        >>> obj, rest = deserialize_object(serialize_object([1, 2]) + serialize_object("next"))
        >>> obj, len(rest)
        ([1, 2], 1)
        """
        try:
            reader = self.evolve(**options) if options else self
            if g is not None:
                check_namespace(g)
            frames = frames if type(frames) is list else listed(frames)
            obj, rest, _ = (read_verified if reader.key is None else read_message)(reader, frames, g)
        except Exception as error:
            shorten(error)
            raise error
        return obj, rest

    # -- calls -------------------------------------------------------------------------------------

    @shortened
    def pack_apply_message(
        self,
        f: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        **options: Unpack[SerializerOptions],
    ) -> list[Frame]:
        """Turn a call into one message, which `unpack_apply_message` reads.

        >>> f, args, kwargs = unpack_apply_message(pack_apply_message(max, [[3, 4]], {"default": 0}))
        >>> f(*args, **kwargs)
        4
        """
        serializer = self.evolve(**options)
        check_call(args, kwargs)
        return serializer.finish([write_call(serializer, f, args, kwargs)])

    @shortened
    def unpack_apply_message(
        self, frames: Sequence[Any], g: Namespace | None = None, **options: Unpack[SerializerOptions]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """Build the function and arguments of a call: **as with pickle, code can run** (``trust="code"``).

        Returns function, arguments and keyword arguments. Options are those of `deserialize_object`. Raises
        `DeserializationError` for a message that is not one call.

        >>> unpack_apply_message(pack_apply_message(min, [[3, 4]]))
        (<built-in function min>, ([3, 4],), {})
        """
        if g is not None:
            check_namespace(g)
        return read_call(self.evolve(**options), listed(frames), g)


def _serializer_of(cls: type[Serializer], options: dict[str, Any]) -> Serializer:
    return cls(**options)


default_serializer: Final = Serializer()


@provides("serializer")
def _default() -> Serializer:
    return default_serializer


@provides("stub")
def _stub_of(blob: bytes) -> Any:
    return loads(blob, trust="code", missing="stub")


serialize_object: Final = default_serializer.serialize_object
deserialize_object: Final = default_serializer.deserialize_object
pack_apply_message: Final = default_serializer.pack_apply_message
unpack_apply_message: Final = default_serializer.unpack_apply_message
dumps: Final = provides("dumps")(default_serializer.dumps)
loads: Final = default_serializer.loads
dump: Final = default_serializer.dump
load: Final = default_serializer.load
