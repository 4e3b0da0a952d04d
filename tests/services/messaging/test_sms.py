"""What a text message costs: GSM-7 and UCS-2, one segment and several."""

import pytest

from services.messaging import sms


class TestLength:
    @pytest.mark.parametrize(
        ("text", "encoding", "units", "segments"),
        [
            ("", "GSM-7", 0, 0),
            ("a" * 160, "GSM-7", 160, 1),
            ("a" * 161, "GSM-7", 161, 2),
            ("a" * 306, "GSM-7", 306, 2),
            ("a" * 307, "GSM-7", 307, 3),
            ("€" * 80, "GSM-7", 160, 1),  # two septets each
            ("€" * 81, "GSM-7", 162, 2),
            ("äöüßéèàñ¿¡Ç", "GSM-7", 11, 1),
            ("ç" + "a" * 69, "UCS-2", 70, 1),  # one letter outside turns all of it
            ("ç" + "a" * 70, "UCS-2", 71, 2),
            ("ж" * 134, "UCS-2", 134, 2),
            ("ж" * 135, "UCS-2", 135, 3),
            ("🙂" * 35, "UCS-2", 70, 1),  # two code units each
        ],
    )
    def test_units_and_segments(self, text: str, encoding: str, units: int, segments: int):
        assert sms.length_of(text) == sms.SmsLength(encoding, units, segments)

    def test_a_character_of_two_units_is_not_split_between_segments(self):
        # 152 letters leave one septet in the first segment, in which no € fits.
        assert sms.length_of("a" * 152 + "€" + "a" * 152).segments == 3
        assert sms.length_of("a" * 151 + "€" + "a" * 153).segments == 2
        assert sms.length_of("ж" * 66 + "🙂" + "ж" * 66).segments == 3

    def test_what_is_left_of_the_last_segment(self):
        assert sms.length_of("a" * 150).left == 10
        assert sms.length_of("a" * 300).left == 6
        assert sms.length_of("ж" * 60).left == 10


class TestLetters:
    def test_typography_becomes_what_a_phone_has_and_reads_the_same(self):
        text = sms.plainer("“C’est” – 1\u202f234,56\u00a0€…")
        assert text == '"C\'est" - 1 234,56 €...'
        assert sms.outside_gsm(text) == ""

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("Façade", "Facade"),
            ("São João", "Sao Joao"),
            ("Zoë’s", "Zoe's"),
            ("Müller", "Müller"),  # in the alphabet: left alone
            ("Łódź", "Łódź"),  # ł is no l with an accent: the name stays whole
            ("株式会社", "株式会社"),
        ],
    )
    def test_a_name_loses_accents_only_where_that_helps(self, name: str, said: str):
        assert sms.name_in_gsm(name) == said

    def test_each_odd_letter_is_named_once(self):
        assert sms.outside_gsm("çaçaêé") == "çê"
