"""Secrets and ports of a demo, made once and kept in the folder. Live mode brings its own and makes none."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from cli.errors import CommandError
from cli.stack.folder import write_private
from core.embedded.process import free_port, port_is_free


def _made(make: Callable[[], str]) -> str:
    made: str = field(default_factory=make)
    return made


def _token() -> str:
    return secrets.token_urlsafe(24)


def _svix_secret() -> str:
    """Resend signs with Svix, whose secrets are base64 behind their prefix."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


@dataclass(frozen=True)
class DemoSecrets:
    """Everything a demo must not share with another demo."""

    encryption_key: str = _made(lambda: secrets.token_hex(32))
    stripe_client_id: str = _made(lambda: f"ca_{secrets.token_hex(12)}")
    stripe_secret_key: str = _made(lambda: f"sk_test_{secrets.token_hex(16)}")
    stripe_webhook_secret: str = _made(lambda: f"whsec_{secrets.token_hex(16)}")
    stripe_connect_webhook_secret: str = _made(lambda: f"whsec_{secrets.token_hex(16)}")
    resend_api_key: str = _made(lambda: f"re_{secrets.token_hex(16)}")
    resend_webhook_secret: str = _made(_svix_secret)
    twilio_account_sid: str = _made(lambda: f"AC{secrets.token_hex(16)}")
    twilio_auth_token: str = _made(lambda: secrets.token_hex(16))
    owner_password: str = _made(_token)
    application_password: str = _made(_token)
    system_password: str = _made(_token)
    redis_password: str = _made(_token)

    @classmethod
    def of_folder(cls, folder: Path) -> "DemoSecrets":
        """Read them, or make them; a name added by a newer version is made beside the old ones."""
        path = folder / "secrets.json"
        known = {item.name for item in fields(cls)}
        try:
            kept = {name: value for name, value in json.loads(path.read_text()).items() if name in known}
        except FileNotFoundError:
            kept = {}
        except (json.JSONDecodeError, AttributeError):
            raise CommandError(f"{path} cannot be read; what it encrypted is lost with it: remove {folder}") from None
        made = cls(**kept)
        if asdict(made) != kept:
            write_private(path, json.dumps(asdict(made), indent=1))
        return made


@dataclass(frozen=True)
class Ports:
    """The ports of what runs beside the web; the same at each start as long as nobody else took them."""

    postgres: int
    redis: int
    sandbox: int

    @classmethod
    def of_folder(cls, folder: Path) -> "Ports":
        path = folder / "ports.json"
        try:
            kept = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            kept = {}
        names = [item.name for item in fields(cls)]
        chosen: dict[str, int] = {}
        for name in names:
            port = kept.get(name)
            if not isinstance(port, int) or not port_is_free(port) or port in chosen.values():
                port = free_port()
            chosen[name] = port
        write_private(path, json.dumps(chosen))
        return cls(**chosen)
