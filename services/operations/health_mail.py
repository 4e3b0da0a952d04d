"""Whether messages reach customers, once: senders, what came back, and Stripe's own mails. Pure."""

from collections.abc import Iterator

from models.merchant import StripeMails
from models.messaging import Channel
from services.operations.health_facts import HealthFacts, SenderFacts
from services.operations.health_schemas import Finding, Place, Severity

# What mailbox providers put up with: FACTS §3; above them they sort everybody's mail of the domain out.
BOUNCES_PERCENT, COMPLAINTS_PERCENT = 2.0, 0.1
FEWEST_MAILS, FEWEST_COMPLAINTS = 50, 2
"""Below these a share says nothing: one address that does not work, one finger that slipped."""

_NAMES = {Channel.EMAIL: "mail", Channel.SMS: "text messages"}
_PROVIDERS = {Channel.EMAIL: "Resend", Channel.SMS: "Twilio"}


def of_senders(facts: HealthFacts) -> Iterator[Finding]:
    """Nobody to send, a sender that its provider refused, and one that nothing is heard back from."""
    if Channel.EMAIL not in facts.senders:
        yield Finding(
            "no_sender",
            Severity.ATTENTION if facts.account.messages_on else Severity.NOTE,
            "There is no sender for mail",
            "Messages stay in the outbox: no customer gets one, and each uses up its step of the sequence.",
            "Give PHANTOM your own Resend key and the address to send from.",
            Place.SETTINGS,
        )
    if facts.account.texts_on and Channel.SMS not in facts.senders:
        yield Finding(
            "no_text_sender",
            Severity.ATTENTION if facts.account.messages_on else Severity.NOTE,
            "There is no sender for text messages",
            "Your rules allow text messages. They stay in the outbox: no customer gets one, and each uses up its step "
            "of the sequence.",
            "Give PHANTOM your own Twilio account and number, or switch text messages off in the rules.",
            Place.SETTINGS,
        )
    for channel, sender in facts.senders.items():
        if sender.paused:
            yield _paused(channel, sender)
        elif sender.quota:
            yield _used_up(channel, sender)
        if sender.unfit:
            yield _unfit(channel, sender)
    mail = facts.senders.get(Channel.EMAIL)
    if mail is not None and not mail.hears_back:
        yield Finding(
            "unheard",
            Severity.ATTENTION,
            "Bounces and complaints are not heard",
            "An address that does not work, and a customer who marks a message as spam, are written to again.",
            "Add the webhook to Resend as Settings shows it, and give PHANTOM its signing secret."
            if mail.own
            else "Whoever runs this PHANTOM has to set RESEND_WEBHOOK_SECRET.",
            Place.SETTINGS if mail.own else Place.NOWHERE,
        )


def _paused(channel: Channel, sender: SenderFacts) -> Finding:
    name = _NAMES[channel]
    details = (sender.paused_reason,) if sender.paused_reason else ()
    if not sender.own:
        return Finding(
            f"platform_refused_{channel.value}",
            Severity.PROBLEM,
            f"PHANTOM's own key for {name} is refused",
            "You have none of your own, so your messages wait until it works again. Nothing is lost.",
            "Whoever runs this PHANTOM has to look after its key; with your own sender you depend on nobody.",
            Place.SETTINGS,
            details,
        )
    if "not verified" in sender.paused_reason.lower() and channel is Channel.EMAIL:
        return Finding(
            "domain_unverified",
            Severity.PROBLEM,
            "The domain you send from is not verified",
            "Resend takes no mail from it: messages wait.",
            "Verify the domain at Resend, then save the sender in Settings once more; what waits then goes out.",
            Place.RESEND_DOMAINS,
            details,
        )
    return Finding(
        f"sender_refused_{channel.value}",
        Severity.PROBLEM,
        f"The key for {name} is refused",
        "Messages wait until there is one that works.",
        "Give PHANTOM a new key in Settings; what waits then goes out.",
        Place.SETTINGS,
        details,
    )


def _used_up(channel: Channel, sender: SenderFacts) -> Finding:
    provider = _PROVIDERS[channel]
    return Finding(
        f"quota_{channel.value}",
        Severity.PROBLEM,
        f"What may be sent as {_NAMES[channel]} is used up",
        f"{provider} takes no more for now. Messages wait; none is lost, and none counts as sent.",
        f"Take a larger plan at {provider}, or wait: they go out by themselves when it takes them again."
        if sender.own
        else f"Whoever runs this PHANTOM needs a larger plan at {provider}; with your own sender you depend on nobody.",
        Place.NOWHERE if sender.own else Place.SETTINGS,
        (sender.quota,),
    )


def _unfit(channel: Channel, sender: SenderFacts) -> Finding:
    provider = _PROVIDERS[channel]
    return Finding(
        f"unfit_{channel.value}",
        Severity.PROBLEM,
        f"{provider} does not take some of your {_NAMES[channel]} as it stands",
        "It refuses the name they come from or what is in them. Each is tried again for about a day; then it has "
        "failed, and its ghost says so.",
        "Look at your business name in Settings and at your own words for messages: a link, or a name that looks like "
        "somebody else's.",
        Place.SETTINGS,
        (sender.unfit,),
    )


def of_outcomes(facts: HealthFacts) -> Iterator[Finding]:
    """Too many mails that came back, or that somebody called spam."""
    mails = facts.mails
    of = f"of the last {mails.went_out:,} mails"
    if mails.went_out >= FEWEST_MAILS and 100 * mails.bounced > BOUNCES_PERCENT * mails.went_out:
        yield Finding(
            "bounces",
            Severity.ATTENTION,
            f"{_percent(mails.bounced, mails.went_out)} of mails come back",
            f"{mails.bounced:,} {of}. Above {BOUNCES_PERCENT:.0f} % mailbox providers begin to distrust all mail from "
            "your domain.",
            "Each address that does not work is left alone by itself. Ask customers for theirs where they sign in, "
            "and look whether addresses in Stripe are old or made up.",
            Place.NOWHERE,
        )
    if mails.complained >= FEWEST_COMPLAINTS and 100 * mails.complained > COMPLAINTS_PERCENT * mails.went_out:
        yield Finding(
            "complaints",
            Severity.PROBLEM,
            f"{_percent(mails.complained, mails.went_out)} of mails are marked as spam",
            f"{mails.complained:,} {of}. Above {COMPLAINTS_PERCENT} % mailbox providers sort out all mail from your "
            "domain, invoices too.",
            "Write less often, with your own name and address, and look whether Stripe writes as well.",
            Place.SETTINGS,
        )


def of_stripes_own(facts: HealthFacts) -> Iterator[Finding]:
    """Two mails about one payment. Stripe's API does not tell, so the merchant is asked, and warned until it is no."""
    said = facts.account.stripe_mails
    if said is StripeMails.NO:
        return
    severity = Severity.ATTENTION if facts.account.messages_on else Severity.NOTE
    switch = (
        "In Stripe, under Settings, Billing, Subscriptions and emails, switch off the mails about failed card payments"
    )
    if said is StripeMails.YES:
        yield Finding(
            "double_mails",
            severity,
            "Customers get two mails about one payment",
            "Stripe writes to them about failed payments, and PHANTOM does too when messages are on.",
            f"{switch}; then say so in Settings.",
            Place.STRIPE_MAILS,
        )
    else:
        yield Finding(
            "double_mails_unknown",
            severity,
            "Does Stripe write to your customers as well?",
            "Stripe can mail customers about failed payments itself, and does not tell PHANTOM whether it does. "
            "Then they get two mails about one payment.",
            f"{switch}, if they are on; then answer the question in Settings.",
            Place.SETTINGS if said is StripeMails.NOT_ASKED else Place.STRIPE_MAILS,
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
