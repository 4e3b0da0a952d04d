"""Svix's signature: what is genuine now passes, everything else is refused."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.outbox.signing import svix_headers
from services.handshake.errors import SignatureError
from services.handshake.svix import verify

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes....").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of 24 bytes.").decode()
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BODY = b'{"type": "email.delivered"}'


def signed(secret: str = SECRET, at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    return svix_headers(secret, "msg_1", int(at.timestamp()), body)


def test_svix_own_example_passes() -> None:
    """The example of docs.svix.com, "Verifying webhooks manually"."""
    headers = {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": "1614265330",
        "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    now = datetime.fromtimestamp(1614265330, UTC)
    assert (
        verify(b'{"test": 2432232314}', headers, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], now) == headers["svix-id"]
    )


def test_each_of_several_secrets_and_signatures_is_tried() -> None:
    both = signed(OTHER)["svix-signature"] + " " + signed()["svix-signature"] + " v2,x"
    assert verify(BODY, {**signed(), "svix-signature": both}, ["", "whsec_???", SECRET], NOW) == "msg_1"


@pytest.mark.parametrize(
    ("headers", "secrets", "body"),
    [
        ({}, [SECRET], BODY),
        (signed(OTHER), [SECRET], BODY),
        (signed(), [SECRET], BODY + b" "),
        (signed(), [], BODY),
        (signed(), [""], BODY),
        (signed(), ["whsec_"], BODY),
        (signed(at=NOW - timedelta(seconds=301)), [SECRET], BODY),
        (signed(at=NOW + timedelta(seconds=301)), [SECRET], BODY),
        ({**signed(), "svix-timestamp": "x"}, [SECRET], BODY),
        ({**signed(), "svix-id": "msg_2"}, [SECRET], BODY),
        ({**signed(), "svix-signature": "v1," + "A" * 5000}, [SECRET], BODY),
        ({**signed(), "svix-signature": signed()["svix-signature"].replace("v1,", "v1a,")}, [SECRET], BODY),
    ],
)
def test_everything_else_is_refused(headers: dict[str, str], secrets: list[str], body: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(body, headers, secrets, NOW)
