"""One page of plain lines as a PDF, enough for an invoice's download: base fonts, no library."""

import zlib

_WIDTH, _HEIGHT, _MARGIN, _LEADING = 595, 842, 56, 20  # A4 in points
_LONGEST = 90


def _text(line: str) -> bytes:
    """A PDF string in WinAnsi; what the base fonts cannot show becomes a question mark."""
    raw = line[:_LONGEST].encode("cp1252", "replace")
    return raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)").replace(b"\n", b" ")


def document(title: str, lines: list[str]) -> bytes:
    """A4, a title and lines below it (PDF 32000-1, sections 7.3 to 7.5)."""
    drawn = [b"BT /F2 20 Tf %d %d Td (%s) Tj ET" % (_MARGIN, _HEIGHT - 80, _text(title))]
    for number, line in enumerate(lines[:34]):
        drawn.append(b"BT /F1 11 Tf %d %d Td (%s) Tj ET" % (_MARGIN, _HEIGHT - 120 - number * _LEADING, _text(line)))
    stream = zlib.compress(b"\n".join(drawn))
    fonts = [b"<</Type/Font/Subtype/Type1/BaseFont/%s/Encoding/WinAnsiEncoding>>" % name for name in _FONTS]
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R/F2 6 0 R>>>>>>" % (_WIDTH, _HEIGHT),
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(stream), stream),
        *fonts,
    ]
    made, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(made))
        made += b"%d 0 obj%s endobj\n" % (number, body)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    made += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(made)


_FONTS = (b"Helvetica", b"Helvetica-Bold")
