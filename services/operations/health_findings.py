"""What is wrong for a merchant, what it means and what to do about it: a pure function of facts.

Each rule looks at one thing and says nothing that its facts do not show. Where two rules would tell of one cause, the
one nearer to the cause speaks.
"""

from services.operations import health_access, health_flow, health_mail
from services.operations.health_facts import HealthFacts
from services.operations.health_schemas import Finding, Severity

_ORDER = {Severity.PROBLEM: 0, Severity.ATTENTION: 1, Severity.NOTE: 2}


def findings(facts: HealthFacts) -> tuple[Finding, ...]:
    """Everything that is wrong, the worst first; empty when everything PHANTOM needs is in place."""
    if not facts.account.connected:
        return (health_access.not_connected(),)
    found = [
        *health_access.of_credential(facts),
        *health_access.of_permissions(facts),
        *health_flow.of_hunts(facts),
        *health_flow.of_webhooks(facts),
        *health_mail.of_senders(facts),
        *health_mail.of_outcomes(facts),
        *health_mail.of_stripes_own(facts),
        *health_flow.of_reading(facts),
    ]
    return tuple(sorted(found, key=lambda each: _ORDER[each.severity]))
