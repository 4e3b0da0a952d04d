"""What makes a stack a demo: the sandbox's webhooks come back to it, and a merchant with a history lives in it."""

import json
from pathlib import Path
from typing import Any

import httpx

from cli.errors import CommandError
from cli.stack.environment import Stack

_SECONDS = 30.0


def connect_webhooks(stack: Stack) -> None:
    """Point the webhooks of Stripe and of the mail provider in the sandbox at this stack; the port may have changed."""
    told = stack.variables
    wanted = {
        f"http://127.0.0.1:{stack.port}/api/webhooks/stripe": (False, told["STRIPE_WEBHOOK_SECRET"]),
        f"http://127.0.0.1:{stack.port}/api/webhooks/stripe/connect": (True, told["STRIPE_CONNECT_WEBHOOK_SECRET"]),
    }
    headers = {"Authorization": f"Bearer {told['STRIPE_SECRET_KEY']}"}
    # `trust_env=False`: a proxy that the shell names is not for this machine's own ports
    mail = {"url": f"http://127.0.0.1:{stack.port}/api/webhooks/resend", "secret": told["RESEND_WEBHOOK_SECRET"]}
    with httpx.Client(base_url=stack.sandbox_url, timeout=_SECONDS, trust_env=False) as client:
        try:
            _replace_endpoints(client, headers, wanted)
            client.post("/_sandbox/outbox/settings", json={"webhook": mail}).raise_for_status()
        except httpx.HTTPError as error:
            raise CommandError(f"the sandbox refused its webhooks: {error}") from None


def _replace_endpoints(client: httpx.Client, headers: dict[str, str], wanted: dict[str, tuple[bool, str]]) -> None:
    listed = client.get("/v1/webhook_endpoints", params={"limit": 100}, headers=headers).raise_for_status().json()
    present = {item["url"]: item["id"] for item in listed["data"]}
    for url in present.keys() - wanted.keys():
        client.delete(f"/v1/webhook_endpoints/{present[url]}", headers=headers).raise_for_status()
    account = client.get("/_sandbox/health").raise_for_status().json()["platform_account"]
    for url in wanted.keys() - present.keys():
        connect, secret = wanted[url]
        told = {"account": account, "url": url, "connect": connect, "secret": secret}
        client.post("/_sandbox/actions/create_webhook_endpoint", json=told).raise_for_status()


def demo_account(folder: Path) -> dict[str, Any] | None:
    """What the demo wrote about itself for a person to sign in with; None before it exists."""
    try:
        written = json.loads((folder / "demo.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return {name: written.get(name) for name in ("merchant_id", "email", "password", "api_key")}
