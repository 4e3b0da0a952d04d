"""`/metrics` of a host that runs no web server: `--metrics-port` of a worker or a Sentinel."""

import http.server
import threading
from typing import Any

from core import metrics
from core.config import settings
from services.operations import service as operations

TEXT = "text/plain; version=1.0.0; charset=utf-8"


class _Handler(http.server.BaseHTTPRequestHandler):
    """One path, one method; to whoever may not read there is nothing here."""

    timeout = 5
    server_version, sys_version = "phantom", ""

    def do_GET(self) -> None:
        token = settings().metrics_token
        allowed = self.path.partition("?")[0] == "/metrics" and metrics.may_read(
            self.client_address[0],
            self.headers.get("authorization", ""),
            token.get_secret_value() if token else None,
            metrics.signs_of_a_proxy(dict(self.headers.items())),
            neighbours=settings().is_demo,
        )
        body = operations.exposition() if allowed else b"There is nothing here.\n"
        self.send_response(200 if allowed else 404)
        self.send_header("content-type", TEXT if allowed else "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # the base class names it
        """A scrape is no news."""


def serve(port: int, host: str = "127.0.0.1") -> http.server.ThreadingHTTPServer:
    """Answer scrapes in a thread until the process ends. Raises `OSError` when the port cannot be had."""
    server = http.server.ThreadingHTTPServer((host, port), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
