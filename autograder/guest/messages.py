"""Messages between the grader and the sandbox: a length and a JSON object, over a Unix socket.

JSON, because what comes out of a sandbox is a stranger's: reading it can build nothing but plain data.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!I")
LARGEST = 64 * 2**20  # bytes of one message


class MessageError(ValueError):
    """What came is no message: too long, or no JSON object."""


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Write `message`.

    Raises:
        OSError: nobody is there any more.
    """
    body = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket) -> dict[str, Any]:
    """Read a message, waiting as long as the socket's timeout allows.

    Raises:
        EOFError: the other side is gone.
        MessageError: what came is no message.
        TimeoutError: it took too long.
    """
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    if length > LARGEST:
        raise MessageError(f"a message of {length} bytes")
    try:
        message = json.loads(_exactly(channel, length))
    except (ValueError, RecursionError) as error:
        raise MessageError(f"no JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise MessageError("no JSON object")
    return message


def _exactly(channel: socket.socket, count: int) -> bytearray:
    body = bytearray()
    while len(body) < count:
        chunk = channel.recv(min(count - len(body), 2**20))
        if not chunk:
            raise EOFError
        body += chunk
    return body
