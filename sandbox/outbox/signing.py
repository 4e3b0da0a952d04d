"""How the two vendors sign what they post back: Svix for Resend, HMAC-SHA1 over the form for Twilio."""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def svix_headers(secret: str, message_id: str, moment: int, body: bytes) -> dict[str, str]:
    """Svix's three headers. `secret` is `whsec_` and base64; signed is `{id}.{timestamp}.{body}` (docs.svix.com)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{moment}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"svix-id": message_id, "svix-timestamp": str(moment), "svix-signature": f"v1,{signature}"}


def twilio_signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature: the URL and then every parameter's name and value in order of the names."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
