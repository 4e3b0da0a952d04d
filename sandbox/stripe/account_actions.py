"""Accounts, Connect, webhook endpoints, pages, and what no API would allow."""

from typing import Any

from sandbox.stripe import accounts
from sandbox.stripe.acting import Account, Acting
from sandbox.stripe.events import emit
from sandbox.stripe.resources import oauth, portal, webhook_endpoints
from sandbox.stripe.store import Json


class AccountActions(Acting):
    """Part of `actions.Actions`."""

    def create_account(self, **given: Any) -> Json:
        """See accounts.create_account: name, email, country, currency, shape, account_id, rules."""
        with self.world.transaction():
            return accounts.create_account(self.world, **given)

    def set_rules(self, account: str, *, shape: str | None = None, **rules: Any) -> None:
        """Change shape (`acacia`/`basil`) or any of world.ACCOUNT_RULES."""
        with self.world.transaction():
            accounts.set_rules(self.world, account, shape=shape, **rules)

    def create_authorization_code(self, account: str, **given: Any) -> str:
        """Consent: scope, redirect_uri, code_challenge, code_challenge_method, live."""
        with self.world.transaction():
            return oauth.create_authorization_code(self.world, account, **given)

    def connect(self, account: str, *, live: bool = False, scope: str = "read_write") -> Json:
        """Consent and exchange in one; returns the connection with its `tokens`."""
        with self.world.transaction():
            return accounts.connect(self.world, account, live=live, scope=scope)

    def disconnect(self, account: str, *, live: bool = False) -> bool:
        """The owner withdraws the authorisation."""
        with self.world.transaction():
            return accounts.disconnect(self.world, account, live=live)

    def create_webhook_endpoint(
        self,
        account: Account,
        url: str,
        events: list[str] | None = None,
        *,
        connect: bool = False,
        api_version: str | None = None,
        secret: str | None = None,
    ) -> tuple[Json, str]:
        """An endpoint and its secret; `connect` on the platform's account receives connected accounts' events."""
        with self.world.transaction():
            return webhook_endpoints.new_endpoint(
                self.world,
                self.world.space(account),
                url=url,
                events=events or ["*"],
                connect=connect,
                api_version=api_version,
                secret=secret,
            )

    def roll_webhook_secret(self, account: Account, endpoint: str, *, keep_seconds: int = 86_400) -> str:
        """A new secret; the old one signs too for `keep_seconds`."""
        with self.world.transaction():
            space, found = self._get(account, "webhook_endpoint", endpoint)
            return webhook_endpoints.roll_secret(self.world, space, found, keep_seconds=keep_seconds)

    # -- oddities -----------------------------------------------------------------------------------------------

    def edit_object(self, account: Account, kind: str, identifier: str, fields: Json) -> Json:
        """Set fields as no API would allow (an invoice without customer, a negative amount); no event."""
        with self.world.transaction():
            space, found = self._get(account, kind, identifier)
            found.update(fields)
            return space.save(kind, found)

    def send_event(self, account: Account, name: str, obj: Json) -> Json | None:
        """Any event, also of a type Stripe does not know, about any object."""
        with self.world.transaction():
            return emit(self.world, self.world.space(account), name, obj)

    # -- pages --------------------------------------------------------------------------------------------------

    def find_hosted_invoice(self, account: str, token: str) -> Json | None:
        """The invoice behind `{public_url}/i/{account}/{token}`, in either mode."""
        for live in (False, True):
            space = self.world.space(account, live=live)
            for identifier, hidden in space.hidden.items():
                if hidden.get("token") == token:
                    return space.get("invoice", identifier)
        return None

    def find_portal_session(self, account: str, session: str) -> Json | None:
        """The session behind `{public_url}/p/session/{account}/{session}`."""
        spaces = (self.world.space(account, live=live) for live in (False, True))
        return next((s for s in (sp.get("billing_portal.session", session) for sp in spaces) if s), None)

    def create_portal_session(self, account: Account, customer: str, return_url: str | None = None) -> Json:
        """As POST /v1/billing_portal/sessions."""
        with self.world.transaction():
            space, owner = self._get(account, "customer", customer)
            configuration = portal.default_configuration(self.world, space)
            return portal.new_session(
                self.world, space, owner, return_url=return_url, flow=None, configuration=configuration
            )
