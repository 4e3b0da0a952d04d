"""The settings of a test process: every name is set, so that nothing leaks in from a developer's shell or `.env`."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from core import config
from core.config import Settings
from core.embedded.process import free_port

# Ports nobody listens on: a test that calls a vendor without a sandbox fails at once and locally.
_NOWHERE = "http://127.0.0.1:1"


def test_environment(
    *, folder: Path, database_url: str, system_url: str, admin_url: str, redis_url: str
) -> dict[str, str]:
    """A complete environment in demo mode."""
    port = free_port()
    chosen = {
        "phantom_mode": "demo",
        "phantom_port": str(port),
        "public_url": f"http://localhost:{port}",
        "phantom_clock_file": str(folder / "clock.json"),
        "phantom_demo_file": str(folder / "demo.json"),
        "phantom_log_level": "INFO",
        "database_url": database_url,
        "database_system_url": system_url,
        "database_admin_url": admin_url,
        "redis_url": redis_url,
        "encryption_key": secrets.token_hex(32),
        "encryption_keys": json.dumps({}),
        "encryption_key_version": "1",
        "stripe_client_id": "ca_test_platform",
        "stripe_secret_key": "sk_test_platform",
        "stripe_webhook_secret": "whsec_test_platform",
        "stripe_connect_webhook_secret": "whsec_test_connect",
        "stripe_api_base": _NOWHERE,
        "stripe_connect_base": _NOWHERE,
        "resend_api_key": "re_test_platform",
        "resend_api_base": _NOWHERE,
        "resend_webhook_secret": "whsec_dGVzdC1yZXNlbmQtd2ViaG9vay1zZWNyZXQ=",
        "email_from": "PHANTOM <billing@phantom.example>",
        "twilio_api_base": _NOWHERE,
        "resend_rate": "0",  # many messages at one standing moment; tests/services/messaging/senders sets rates
        "twilio_rate": "0",
    }
    return {name.upper(): chosen.get(name, "") for name in Settings.model_fields}


def install(environment: dict[str, str]) -> None:
    """Make it this process's environment and forget settings that were read before."""
    Settings.model_config["env_file"] = None
    os.environ.update(environment)
    config.settings.cache_clear()


@contextlib.contextmanager
def changed(**values: str) -> Iterator[None]:
    """Other settings for the length of a block."""
    former = {name: os.environ[name] for name in values}
    install(values)
    try:
        yield
    finally:
        install(former)
