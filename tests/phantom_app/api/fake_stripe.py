"""The smallest Stripe that can be connected to, over real HTTP, with faults on demand.

The sandbox plays Stripe's billing; this one plays what goes wrong while connecting.
"""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from services.integrations.stripe import transport
from tests.support import environment

Answer = tuple[int, Any]


@dataclass
class FakeStripe:
    """What it knows and what it was asked."""

    url: str = ""
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    before: Callable[[str], object] = lambda path: None

    def consent(self, authorize_url: str, account: str = "acct_1", *, livemode: bool = False, **facts: Any) -> str:
        """Give consent at the address PHANTOM sent the browser to; the address Stripe sends it back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(authorize_url).query).items()}
        code = f"ac_{len(self.codes)}_{account}"
        self.codes[code] = {"account": account, "livemode": livemode, "challenge": asked["code_challenge"]}
        self.accounts[account] = {"id": account, "object": "account", "country": "DE", **facts}
        return f"/api/auth/callback?scope=read_write&code={code}&state={asked['state']}"

    def answer(self, method: str, path: str, form: dict[str, str], headers: dict[str, str]) -> Answer:
        self.requests.append((method, path, form, headers))
        self.before(path)
        if self.answers.get(path):
            return self.answers[path].pop(0)
        if path == "/oauth/token":
            return self._token(form, headers)
        if path == "/v1/account":
            account = headers.get("authorization", "").removeprefix("Bearer sk_test_token_")
            return 200, self.accounts[account]
        return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such thing"}}

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        if headers.get("authorization") != "Bearer sk_test_platform":
            return 401, {"error": "invalid_client", "error_description": "No such application"}
        code = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if code is None or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code["challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "Authorization code does not exist"}
        return 200, {
            "access_token": f"sk_test_token_{code['account']}",
            "refresh_token": f"rt_{code['account']}",
            "scope": "read_write",
            "livemode": code["livemode"],
            "stripe_user_id": code["account"],
            "token_type": "bearer",
        }


@contextlib.contextmanager
def serving() -> Iterator[FakeStripe]:
    """A fake on a free port of the loopback."""
    fake = FakeStripe()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _do(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            form = {name: values[-1] for name, values in parse_qs(body or parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = fake.answer(self.command, parts.path, form, headers)
            extra = answer.pop("_headers", {}) if isinstance(answer, dict) else {}
            payload = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", "request-id": "req_fake", **extra}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def in_stripes_place() -> Iterator[FakeStripe]:
    """What our clients take for Stripe while the block runs; their connections to it end with it."""
    with serving() as fake, environment.changed(STRIPE_API_BASE=fake.url, STRIPE_CONNECT_BASE=fake.url):
        yield fake
        transport.close_connections()
