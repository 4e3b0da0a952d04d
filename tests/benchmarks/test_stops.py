"""The replies that the bench posts are what Twilio would: complete, signed, each from somebody else."""

from urllib.parse import parse_qs

from benchmarks import stops
from core.config import settings
from services.integrations.twilio import is_genuine
from services.messaging.addresses import number
from services.messaging.senders.carriers import TWILIO_PATH


def test_every_reply_is_whole_genuine_and_of_its_own_number() -> None:
    made = list(stops.requests(50, 3)) + list(stops.requests(50, 4))
    senders, names = set(), set()
    for request in made:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        form = parse_qs(body.decode(), keep_blank_values=True)
        assert int(lines["Content-Length"]) == len(body)
        address = f"{settings().public_url}{TWILIO_PATH}"
        assert is_genuine(stops.TOKEN, address, form, lines["X-Twilio-Signature"])
        assert not is_genuine(stops.TOKEN, address + "?merchant=mer_1", form, lines["X-Twilio-Signature"])
        senders.add(number(form["From"][0]))
        names.add(form["MessageSid"][0])
    assert (len(senders), len(names)) == (50, 100)


def test_numbers_of_ten_thousand_are_all_different() -> None:
    assert len({stops._number(reply) for reply in range(stops.REPLIES)}) == stops.REPLIES
    assert number(stops._number(stops.REPLIES - 1))
