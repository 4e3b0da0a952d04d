"""How many segments a text message takes. Pure; 3GPP TS 23.038 (alphabet) and TS 23.040 (concatenation).

Letters of GSM-7 cost one septet, those of its extension two, 160 in one segment and 153 in each of several. A single
other character turns the whole message into UCS-2: 70 code units in one segment, 67 in each of several.
"""

import unicodedata
from dataclasses import dataclass

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
MOST_SEGMENTS = 2
# What typography and locales use where a phone's alphabet has something plainer that reads the same.
_PLAIN = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": ",", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‹": "'", "›": "'",
        "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "…": "...", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
        "\t": " ", "•": "-", "×": "x",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SmsLength:
    """`units` are septets in GSM-7 and UTF-16 code units in UCS-2."""

    encoding: str
    units: int
    segments: int

    @property
    def left(self) -> int:
        """How many units still fit into the last segment."""
        single, several = (160, 153) if self.encoding == "GSM-7" else (70, 67)
        return (single if self.segments <= 1 else several * self.segments) - self.units


def outside_gsm(text: str) -> str:
    """The characters that turn a message into UCS-2, each once, as they come."""
    return "".join(dict.fromkeys(each for each in text if each not in GSM_BASIC and each not in GSM_EXTENSION))


def length_of(text: str) -> SmsLength:
    """What a text costs. A character that takes two units is never split between segments, as networks do it."""
    if outside_gsm(text):
        widths, single, several, encoding = [1 + (ord(each) > 0xFFFF) for each in text], 70, 67, "UCS-2"
    else:
        widths, single, several, encoding = [1 + (each in GSM_EXTENSION) for each in text], 160, 153, "GSM-7"
    units = sum(widths)
    if units <= single:
        return SmsLength(encoding, units, 1 if text else 0)
    segments, room = 1, several
    for width in widths:
        if width > room:
            segments, room = segments + 1, several
        room -= width
    return SmsLength(encoding, units, segments)


def plainer(text: str) -> str:
    """`text` with a phone's quotes, dashes and spaces in the place of typographic ones: nothing reads differently."""
    return text.translate(_PLAIN)


def name_in_gsm(name: str) -> str:
    """A name with its accents left out where that alone keeps a message in GSM-7 (`Łódź` stays: ł has no accent).

    One letter of a name would double what every message costs. A name in another script stays as it is.
    """
    plain = plainer(name)
    if not outside_gsm(plain):
        return plain
    bare = "".join(each if not outside_gsm(each) else unicodedata.normalize("NFKD", each)[:1] for each in plain)
    return plain if outside_gsm(bare) else bare
