"""The parts of `transport.engines.ipyparallel`: formats and types, the client's side, the engine's side."""

from typing import Final

from ..adapting import check_layout

TRIED: Final = "9.2.0"
check_layout(
    "ipyparallel",
    TRIED,
    {
        "ipyparallel.client.client:Client.send_apply_request": ("serialize", "pack_apply_message", "ident"),
        "ipyparallel.client.client:Client._handle_apply_reply": ("serialize", "deserialize_object"),
        "ipyparallel.client.client:Client._build_targets": ("_engines",),
        "ipyparallel.engine.kernel:IPythonParallelKernel.do_apply": (
            "unpack_apply_message",
            "serialize_object",
        ),
        "ipyparallel.engine.datapub:ZMQDataPublisher.publish_data": ("serialize_object", "parent_header"),
        "ipyparallel.serialize.serialize:PrePickled.__init__": ("serialize_object", "buffers"),
        "ipyparallel.serialize.serialize:pack_apply_message": ("serialize_object",),
        "ipyparallel.controller.dependency:require": ("can",),
        "ipyparallel.controller.dependency:dependent.check_dependency": (),
    },
)
