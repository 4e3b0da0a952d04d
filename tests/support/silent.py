"""A server that takes connections and never says a word."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Its port, for as long as the block runs."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    taken: list[socket.socket] = []

    def take() -> None:
        with contextlib.suppress(OSError):  # closed: the block is over
            while True:
                taken.append(listening.accept()[0])

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
        for connection in taken:
            connection.close()
