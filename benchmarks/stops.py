"""Ten thousand people answer STOP at once: is each answered within Twilio's fifteen seconds, stored, and in effect?

`python -m benchmarks.stops [REPLIES]`; beside `phantom bench`, whose names are fixed. Twilio does not send a reply
again that was not taken in time. The replies come to the platform's own number, signed, all due within ten
milliseconds; the time counts from then. No worker runs: what must hold before any later text is committed before the
answer. Of two web processes the control is one, in alternating rounds.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlencode

import psycopg

from benchmarks.__main__ import table
from benchmarks.harness import Place, Row, Samples, alone, alternate, audit, compared, percentile, place
from benchmarks.machine import environment
from benchmarks.openloop import Phase, drive
from benchmarks.processes import running
from core import config, db
from core.config import settings
from core.embedded.process import free_port
from sandbox.outbox.signing import twilio_signature
from services.messaging import suppression
from services.messaging.senders.carriers import TWILIO_PATH
from tests.support.factories import make_merchant

REPLIES, ROUNDS = 10_000, 3
PATIENCE = 15.0  # seconds that Twilio waits
PROCESSES = (1, 2)
ACCOUNT, TOKEN, SENDER = "AC" + "0" * 32, "0123456789abcdef0123456789abcdef", "+15005550006"
_AT_ONCE = 0.01  # seconds within which all of them are due
_COUNTS = """
select (select count(*) from processed_events where source = 'twilio' and merchant_id = %(whose)s),
    (select count(*) from processed_events event join scheduled_tasks on key = 'event:' || event.id),
    (select count(*) from suppressions where merchant_id = %(whose)s and channel = 'sms')
"""


def _number(reply: int) -> str:
    """Numbers of the United States that could be somebody's."""
    area, rest = divmod(reply, 10_000)
    return f"+1{(202, 212, 213, 214)[area]}{2_340_000 + rest}"


def requests(count: int, round_number: int) -> Iterator[bytes]:
    """Replies as Twilio posts them, complete and signed."""
    address = f"{settings().public_url}{TWILIO_PATH}"
    for reply in range(count):
        sid = f"SM{round_number:08x}{reply:024x}"
        form = {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": "0", "ToCity": "", "FromZip": "20001",
            "SmsSid": sid, "FromState": "DC", "SmsStatus": "received", "FromCity": "WASHINGTON", "Body": "STOP",
            "FromCountry": "US", "To": SENDER, "ToZip": "", "NumSegments": "1", "MessageSid": sid,
            "AccountSid": ACCOUNT, "From": _number(reply), "ApiVersion": "2010-04-01",
        }  # fmt: skip
        body = urlencode(form).encode()
        signature = twilio_signature(TOKEN, address, form)
        yield (
            f"POST {TWILIO_PATH} HTTP/1.1\r\nHost: phantom.bench\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"X-Twilio-Signature: {signature}\r\nUser-Agent: TwilioProxy/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


class Crowd:
    """One merchant who wrote to everybody, and what became of their replies."""

    def __init__(self, at: Place, replies: int) -> None:
        self.at, self.replies, self.round = at, replies, 0
        self.merchant = make_merchant()
        with db.tenant_session(self.merchant) as session:
            for reply in range(replies):
                suppression.remember_texted(session, self.merchant, _number(reply))
        self.slowest: dict[int, list[float]] = {each: [] for each in PROCESSES}

    def answer(self, processes: int, port: int) -> float:
        """Seconds within which 99 of 100 were answered."""
        with psycopg.connect(self.at.logins.owner.url, autocommit=True) as owner:
            owner.execute("truncate processed_events, scheduled_tasks, suppressions")
            owner.execute("checkpoint")
        self.round += 1
        made = list(requests(self.replies, self.round))
        answers = drive(port, [Phase(_AT_ONCE, self.replies / _AT_ONCE)], iter(made))
        audit(expected=(self.replies, 0), found=(len(answers.statuses), answers.refused), what="answers, and not 2xx")
        with psycopg.connect(self.at.logins.owner.url, autocommit=True) as owner:
            found = owner.execute(_COUNTS, {"whose": self.merchant}).fetchone()
        audit(expected=(self.replies,) * 3, found=found, what="replies stored, with a task, and numbers shut at once")
        seconds = [each / 1000 for each in answers.milliseconds]
        self.slowest[processes].append(max(seconds))
        return percentile(seconds, 0.99)


def run(replies: int = REPLIES, rounds: int = ROUNDS) -> list[Row]:
    """One and two web processes in turn, both up all the while."""
    with place() as at:
        os.environ.update(TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN=TOKEN, TWILIO_FROM=SENDER)
        config.settings.cache_clear()
        crowd, ports = Crowd(at, replies), {each: free_port() for each in PROCESSES}
        with _web(at, ports, 1), _web(at, ports, 2):
            for each in PROCESSES:  # caches, plans, the tables' files
                crowd.answer(each, ports[each])
            crowd.slowest = {each: [] for each in PROCESSES}
            taken = alternate({str(each): partial(crowd.answer, each, ports[each]) for each in PROCESSES}, rounds)
    worst = [Samples(tuple(crowd.slowest[each])) for each in PROCESSES]
    name, goal = f"{replies:,} replies of STOP at once", f"<= {PATIENCE:g} s, all 2xx, in effect"
    one, two = f"{name}, one web process", f"{name}, two web processes"
    return [
        alone(f"{one}, p99", taken["1"], "s", goal),
        Row(f"{one}, last", max(worst[0].values), "s", None, None, None, rounds, worst[0].spread, goal),
        compared(f"{two}, p99", taken["2"], "s", "one", taken["1"], goal),
        Row(f"{two}, last", max(worst[1].values), "s", None, None, None, rounds, worst[1].spread, goal),
        alone(f"{one}, answered", _rate(replies, worst[0]), "/s", "reported"),
        alone(f"{two}, answered", _rate(replies, worst[1]), "/s", "reported"),
    ]


def _rate(replies: int, last: Samples) -> Samples:
    return Samples(tuple(replies / each for each in last.values))


def _web(at: Place, ports: dict[int, int], processes: int) -> contextlib.AbstractContextManager[object]:
    port = ports[processes]
    arguments = ("--headless", "--workers", str(processes), "--port", str(port))
    return running("phantom_app.serve", *arguments, log=at.folder / f"web-{processes}.log", port=port)


def main(arguments: Sequence[str]) -> int:
    print(table(environment(), run(int(arguments[0]) if arguments else REPLIES)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
