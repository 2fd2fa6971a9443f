"""canning in Jupyter's messages: payload as the ``buffers=`` of any message, all of it signed.

    content, buffers = pack({"image": array})
    session.send(socket, "comm_msg", content, buffers=buffers)           # or comm.send(data, buffers=...)

    obj = unpack(message["content"], message["buffers"])

Jupyter signs the four parts of a message that are JSON, and not its buffers: anyone who can alter a message
on its way can replace them. With ``key=`` canning signs all of them, and `unpack` with the same key refuses
altered, cut or replaced messages; use the session's own key, which both ends know.

The user of a kernel decides what it sends, so `unpack` reads only plain data; with ``trust="code"`` also
functions and classes, as `transport.recv` does.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from canning import DeserializationError, Serializer
from canning.memory.buffers import Frame

from ..incoming import OWN_BELOW
from .adapting import check_layout

TRIED: Final = "8.10.0"
check_layout(
    "jupyter_client",
    TRIED,
    {
        "jupyter_client.session:Session.send": ("buffers", "contiguous"),
        "jupyter_client.session:Session.deserialize": ("buffers", "memoryview"),
    },
)

FIELD: Final = "canning"
"""The key in the content of a message that says that its buffers are canned, and how many."""


def pack(
    obj: Any, content: dict[str, Any] | None = None, *, key: Any = None, portable: bool = False
) -> tuple[dict[str, Any], list[Frame]]:
    """Return the content and the buffers of a message: flat, contiguous, and not copied.

    `content` holds the other content of the message; it is not changed. `key` is a key as for
    `canning.Serializer`, or that of a `jupyter_client.session.Session`. `portable=True` is for readers in
    other languages, such as the page that shows a widget; see ``docs/javascript.md``. Raises
    `SerializationError`.

    >>> content, buffers = pack({"answer": 42})
    >>> unpack(content, buffers)
    {'answer': 42}
    """
    frames = Serializer(key=_checked(key), portable=portable).serialize_object(obj)
    return {**(content or {}), FIELD: len(frames)}, frames


def unpack(
    content: dict[str, Any],
    buffers: list[Any],
    *,
    key: Any = None,
    trust: Literal["data", "code"] = "data",
    writable: bool = False,
) -> Any:
    """Build the object that `pack` put into a message; arrays are views of its buffers.

    `trust` and `writable` are as for `canning.Serializer`. Raises `DeserializationError` if `pack` did not
    make the message, it is damaged, or it is not signed with the given `key`.
    """
    count = content.get(FIELD)
    if type(count) is not int or count != len(buffers):
        said = "says nothing of canning" if count is None else "speaks of another number"
        raise DeserializationError(f"the message has {len(buffers)} buffers, and its content {said}")
    reader = Serializer(key=_checked(key), trust=trust, writable=writable)
    frames = [bytearray(buffer) if len(buffer) < OWN_BELOW else buffer for buffer in buffers]
    obj, rest = reader.deserialize_object(frames)
    if rest:
        raise DeserializationError(f"the message has {len(rest)} buffers more than one object")
    return obj


def _checked(key: Any) -> Any:
    """Refuse the empty key, which in Jupyter means that nothing is signed."""
    if key == b"":
        raise ValueError(
            "the session has no key, so that nothing is signed: pass key=None, or start it with one"
        )
    return key
