"""What the settings must say, and that the keys they hold open what is stored."""

from urllib.parse import urlsplit

from cli.doctor.findings import Check, Trouble, Warn
from core import config
from core.config import Mode, Settings

SETTINGS, DATABASE = "settings", "database"
LOCAL = ("localhost", "127.0.0.1", "::1")
LOOKED_AT = 1000  # merchants whose stored keys are looked at: a rotation goes through all of them in one order


def checks() -> list[Check]:
    return [
        Check(SETTINGS, settings),
        Check("public URL", public_url, (SETTINGS,)),
        Check("Stripe", stripe, (SETTINGS,)),
        Check("webhooks", webhooks, (SETTINGS,)),
        Check("vault", vault, (SETTINGS,)),
    ]


def checks_of_rows() -> list[Check]:
    needs = (SETTINGS, DATABASE, "schema")
    return [Check("stored keys", stored_keys, needs), Check("keys of links", link_keys, needs)]


def settings() -> str:
    return f"{config.settings().phantom_mode.value} mode"


def _live(configured: Settings) -> bool:
    return configured.phantom_mode is Mode.LIVE


def public_url() -> str:
    configured = config.settings()
    url = urlsplit(configured.public_url)
    remedy = "set PUBLIC_URL to what customers' browsers open, such as https://recover.example.com"
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Trouble(f"PUBLIC_URL {configured.public_url!r} is no web address", remedy)
    if url.path or url.query or url.fragment or url.username:
        raise Trouble("PUBLIC_URL has more than a scheme, a host and a port", remedy)
    if _live(configured) and url.hostname in LOCAL:
        raise Warn(f"{configured.public_url}: no customer's link in a message can be opened elsewhere", remedy)
    return configured.public_url


def stripe() -> str:
    configured = config.settings()
    missing = [name for name in ("stripe_client_id", "stripe_secret_key") if getattr(configured, name) is None]
    if missing:
        names = ", ".join(name.upper() for name in missing)
        raise Trouble(f"{names} not set: no account can be connected", f"set {names} from Stripe's dashboard")
    if _live(configured) and not configured.livemode:
        raise Warn("live mode with a test key: no real money is seen", "set STRIPE_SECRET_KEY to an sk_live_ key")
    return "live key" if configured.livemode else "test key"


def webhooks() -> str:
    """Without a secret a route answers 404 to everything; then only hunts notice a payment, hours later."""
    configured = config.settings()
    names = {"STRIPE_CONNECT_WEBHOOK_SECRET": True, "STRIPE_WEBHOOK_SECRET": False}
    missing = [name for name, connect in names.items() if not configured.webhook_secrets(connect=connect)]
    remedy = f"set {' and '.join(missing)} to the signing secret that Stripe shows beside the endpoint"
    if "STRIPE_CONNECT_WEBHOOK_SECRET" in missing:
        raise Trouble("merchants' events are refused (404): only hunts notice a payment, hours later", remedy)
    if missing:
        raise Warn("events of the platform's own account are refused (404)", remedy)
    return "both secrets are set"


def vault() -> str:
    from services.vault import service

    service.self_test()
    return f"AES-256-GCM, key versions {', '.join(map(str, sorted(config.settings().master_keys())))}"


def stored_keys() -> str:
    """Every key version that something stored needs is configured; each merchant is read as itself."""
    from core import db
    from services.merchants import service as merchants
    from services.vault import hash_keys
    from services.vault import service as vault_service

    configured = set(config.settings().master_keys())
    with db.system_session() as session:
        looked_at = [account.merchant_id for account in merchants.list_connected(session)][:LOOKED_AT]
        needed, still = hash_keys.missing_masters(session), hash_keys.needed_masters(session)
    for merchant_id in looked_at:
        with db.tenant_session(merchant_id) as session:
            needed |= vault_service.key_versions(session, merchant_id)
    if missing := sorted(needed - configured):
        raise Trouble(
            f"something is sealed under key version {', '.join(map(str, missing))}, which is not configured",
            'put the old key back into ENCRYPTION_KEYS, as {"version": "key"}: without it they cannot be opened',
        )
    if still:
        raise Warn(
            f"key version {', '.join(map(str, sorted(still)))} is still needed: who unsubscribed or was removed is"
            " known by it alone",
            "leave it in ENCRYPTION_KEYS: a Sentinel that has the new key as well seals what is needed within a minute",
        )
    used = f"; in use: {', '.join(map(str, sorted(needed)))}" if needed else ""
    return f"all there for {len(looked_at)} merchants{used}"


def link_keys() -> str:
    """Links in messages open with the master key they were signed under, until their ghost is forgotten."""
    from core import clock, db
    from services.recovery.purge import KEEP
    from services.vault import hash_keys

    with db.system_session() as session:
        found = hash_keys.succession(session)
    version = config.settings().encryption_key_version
    if found is None:
        return f"version {version}; since when, a Sentinel notes within a minute of its start"
    ends = found.since + KEEP
    if found.former is None or clock.now() >= ends:
        older = sorted(set(config.settings().master_keys()) - {version})
        spare = f"; links need version {', '.join(map(str, older))} no longer" if older else ""
        return f"version {version} since {found.since:%Y-%m-%d}{spare}"
    if found.former not in config.settings().master_keys():
        raise Trouble(
            f"links mailed before {found.since:%Y-%m-%d %H:%M} UTC do not open: they were signed under key version "
            f"{found.former}, which is not configured",
            f'put the old key back into ENCRYPTION_KEYS, as {{"{found.former}": "key"}}, until {ends:%Y-%m-%d}',
        )
    return f"version {version}; links need version {found.former} until {ends:%Y-%m-%d}"
