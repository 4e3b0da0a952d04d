"""Accounts, API keys and Connect connections: who may speak for whom."""

from typing import TYPE_CHECKING, Any

from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def ensure_platform(world: "World") -> None:
    """Make the platform's own account and keys when the world is new; the command line's keys always work."""
    settings = world.settings
    if settings.platform_account not in world.root.table("account").objects:
        create_account(
            world, account_id=settings.platform_account, name="PHANTOM", email="platform@phantom.test", keys=False
        )
    add_key(world, settings.platform_secret_key, settings.platform_account, live=False)
    add_key(world, settings.platform_live_key, settings.platform_account, live=True)


def create_account(
    world: "World",
    *,
    name: str,
    email: str,
    country: str = "US",
    currency: str = "usd",
    shape: str = "basil",
    account_id: str | None = None,
    keys: bool = True,
    rules: Json | None = None,
) -> Json:
    """A new Stripe account. `shape` is its invoice shape, `rules` override world.ACCOUNT_RULES.

    With `keys`, `sk_test_<id>` and `sk_live_<id>` are made for it (see `secret_key`).
    """
    identifier = account_id or world.ids.new("acct", 16)
    account: Json = {
        "id": identifier,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": "5734",
            "minority_owned_business_designation": None,
            "name": name,
            "product_description": None,
            "support_address": None,
            "support_email": email,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": country,
        "created": world.now(),
        "default_currency": currency,
        "details_submitted": True,
        "email": email,
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{identifier}/external_accounts",
        },
        "metadata": {},
        "payouts_enabled": True,
        "settings": _account_settings(name),
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "standard",
    }
    world.root.private(identifier).update(shape=shape, rules=rules or {})
    world.root.save("account", account)
    if keys:
        add_key(world, secret_key(identifier), identifier, live=False)
        add_key(world, secret_key(identifier, live=True), identifier, live=True)
    return account


def _account_settings(name: str) -> Json:
    colors = {"icon": None, "logo": None, "primary_color": None, "secondary_color": None}
    return {
        "bacs_debit_payments": {"display_name": None, "service_user_number": None},
        "branding": colors,
        "card_issuing": {"tos_acceptance": {"date": None, "ip": None}},
        "card_payments": {
            "decline_on": {"avs_failure": False, "cvc_failure": False},
            "statement_descriptor_prefix": None,
            "statement_descriptor_prefix_kana": None,
            "statement_descriptor_prefix_kanji": None,
        },
        "dashboard": {"display_name": name, "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "offer"},
        "payments": {
            "statement_descriptor": name[:22].upper(),
            "statement_descriptor_kana": None,
            "statement_descriptor_kanji": None,
        },
        "payouts": {
            "debit_negative_balances": True,
            "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": None,
        },
        "sepa_debit_payments": {},
    }


def set_rules(world: "World", account: str, *, shape: str | None = None, **rules: Any) -> None:
    """Change an account's shape or its billing rules (world.ACCOUNT_RULES)."""
    private = world.root.private(account)
    if shape:
        private["shape"] = shape
    private.setdefault("rules", {}).update(rules)
    world.root.save("account", world.account(account))


# -- keys ---------------------------------------------------------------------------------------------------------


def secret_key(account: str, *, live: bool = False) -> str:
    """The secret key every account is made with."""
    return f"sk_{'live' if live else 'test'}_{account.removeprefix('acct_')}"


def add_key(
    world: "World",
    key: str,
    account: str,
    *,
    live: bool,
    permissions: dict[str, str] | None = None,
    oauth: bool = False,
) -> str:
    """Let `key` speak for `account`. `permissions` (resource -> read | write) make it a restricted key."""
    row = {"id": key, "account": account, "live": live, "permissions": permissions, "oauth": oauth}
    if world.root.get("_key", key) != row:
        world.root.save("_key", row)
    return key


def create_restricted_key(world: "World", account: str, permissions: dict[str, str], *, live: bool = False) -> str:
    """A restricted key such as `rk_test_...`; permissions name resources, e.g. {"invoices": "read"}."""
    key = world.ids.new(f"rk_{'live' if live else 'test'}", 32)
    return add_key(world, key, account, live=live, permissions=permissions)


def revoke_key(world: "World", key: str) -> None:
    """From now on 401."""
    if world.root.get("_key", key):
        world.root.remove(key)


# -- connections --------------------------------------------------------------------------------------------------


def connection(world: "World", account: str, *, live: bool) -> Json | None:
    """The platform's authorisation for that account in that mode, if there is one."""
    return world.root.get("_connection", f"{account}/{'live' if live else 'test'}")


def connect(world: "World", account: str, *, live: bool = False, scope: str = "read_write") -> Json:
    """Authorise the platform for an account (what a consented OAuth exchange does) and make its tokens."""
    world.account(account)
    identifier = f"{account}/{'live' if live else 'test'}"
    mode = "live" if live else "test"
    row = connection(world, account, live=live) or {
        "id": identifier,
        "account": account,
        "live": live,
        "refresh_token": world.ids.new("rt", 32),
        "publishable_key": world.ids.new(f"pk_{mode}", 32),
        "tokens": [],
    }
    row["scope"] = scope
    allowed = {"*": "read"} if scope == "read_only" else None
    token = add_key(world, world.ids.new(f"sk_{mode}", 40), account, live=live, permissions=allowed, oauth=True)
    row["tokens"].append(token)
    world.root.save("_connection", row)
    return row


def disconnect(world: "World", account: str, *, live: bool = False) -> bool:
    """Withdraw the authorisation; tokens die, the platform hears `account.application.deauthorized`."""
    from sandbox.stripe import events

    row = connection(world, account, live=live)
    if row is None:
        return False
    for token in row["tokens"]:
        revoke_key(world, token)
    application = {"id": world.settings.client_id, "object": "application", "name": "PHANTOM"}
    # Sent while the connection still stands: Stripe delivers it to the platform's Connect endpoints.
    events.emit(world, world.space(account, live=live), "account.application.deauthorized", application)
    world.root.remove(row["id"])
    return True


def platform_space(world: "World", *, live: bool) -> Space:
    """The platform's own objects in one mode."""
    return world.space(world.settings.platform_account, live=live)
