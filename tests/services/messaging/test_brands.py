"""A merchant's looks: what may be saved, and that nothing stored can spoil a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messaging.brands import (
    DEFAULT_ACCENT,
    READABLE,
    Brand,
    brand_of,
    contrast,
    edge_of,
    ink_on,
    logo_problem,
    one_line,
    problems_of,
)


class TestStored:
    def test_what_is_not_set_has_defaults(self):
        assert brand_of({}, "Acme Inc.") == Brand("Acme Inc.")

    def test_all_of_it(self):
        stored = {
            "name": "Acme",
            "accent": "#1d4ed8",
            "logo_url": "https://cdn.acme.com/logo.png",
            "signature": "Kind regards\n\nAda",
            "address": "Street 1,\nTown",
            "language": "de",
        }
        assert brand_of(stored, "x") == Brand(
            "Acme", "#1d4ed8", "https://cdn.acme.com/logo.png", ("Kind regards", "Ada"), "Street 1, Town", "de"
        )

    @pytest.mark.parametrize("stored", [{"accent": "red"}, {"accent": 7}, {"language": "xx"}, {"logo_url": "http://x"}])
    def test_what_cannot_be_used_is_passed_over(self, stored: dict[str, object]):
        assert brand_of(stored, "Acme") == Brand("Acme", DEFAULT_ACCENT)


class TestColours:
    @given(st.integers(0, 0xFFFFFF))
    def test_a_button_can_be_read_on_every_colour(self, number: int):
        colour = f"#{number:06x}"
        assert contrast(ink_on(colour), colour) >= READABLE

    def test_contrast_is_the_standards(self):
        assert contrast("#ffffff", "#000000") == pytest.approx(21)
        assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)

    def test_a_button_that_vanishes_in_its_ground_gets_an_edge(self):
        assert edge_of("#fff8b0", "#ffffff", "#111111") == "#111111"
        assert edge_of("#1d4ed8", "#ffffff", "#111111") == "#1d4ed8"


class TestLogo:
    def test_a_public_https_address(self):
        assert logo_problem("https://cdn.acme.com/logo.png?v=2") == ""

    @pytest.mark.parametrize(
        "url",
        [
            "http://cdn.acme.com/x.png", "//cdn.acme.com/x.png", "data:image/png;base64,xx", "javascript:alert(1)",
            "https://localhost/x.png", "https://127.0.0.1/x.png", "https://[::1]/x.png", "https://10.0.0.1/x",
            "https://user:pw@acme.com/x.png", "https://acme.com:8443/x.png", "https://acme.com/x y.png",
            'https://acme.com/"><script>', "https://acme.com/{{ name }}", "https://acme",
            "https://" + "a" * 500 + ".com",
            "https://аcme.com/x.png", "https://acme.com:x/", "https://[/",
        ],
    )  # fmt: skip
    def test_anything_else_is_refused(self, url: str):
        assert logo_problem(url)


class TestForm:
    def test_what_is_wrong_is_told_by_field(self):
        form = {
            "name": "x" * 81,
            "accent": "blue",
            "logo_url": "http://x",
            "language": "xx",
            "signature": "a\nb\nc\nd\ne",
            "address": "y" * 201,
        }
        assert set(problems_of(form)) == set(form)

    def test_what_stands_below_every_message_sells_and_links_nothing_and_says_where(self):
        found = problems_of(
            {
                "name": "Shop now: www.shop.example",
                "signature": "Yours, Olga\nUpgrade now at https://shop.example",
                "address": "1 Free Street, www.shop.example",
            }
        )
        assert found["name"] == "A name is no link."
        assert found["signature"].startswith("Line 2, column 1: “Upgrade” sells")
        assert "Line 2, column 16: “https://shop.example” reads as a link" in found["signature"]
        assert "Line 1, column 3: “Free” sells" in found["address"]
        assert "column 16: “www.shop.example” reads as a link" in found["address"]

    @pytest.mark.parametrize("said", ["We will try again on Monday.", "Wir buchen noch einmal ab", "tarjeta robada"])
    def test_a_signature_stands_below_the_last_message_too_and_in_every_language(self, said: str):
        assert "signature" in problems_of({"signature": said})

    @pytest.mark.parametrize(
        "form",
        [
            {"name": "Booking.com", "signature": "Your Northwind team\nbilling@northwind.example\nToll-free 0800 1234"},
            {"name": "Lost & Found Ltd", "address": "Lost Creek Road 7, 10115 Berlin, DE"},
        ],
    )
    def test_ordinary_names_addresses_and_greetings_may_be_saved(self, form: dict[str, str]):
        assert problems_of(form) == {}

    def test_an_empty_form_is_fine(self):
        assert problems_of({}) == {}


class TestOneLine:
    @pytest.mark.parametrize(
        ("text", "short"),
        [
            ("Ada Example", "Ada Example"),
            ("Featherstonehaugh & Associates Holdings", "Featherstonehaugh & Associates"),
            ("Featherstonehaugh, and Sons & Associates", "Featherstonehaugh, and Sons"),
            ("Featherstonehaugh and Associat Holdings", "Featherstonehaugh and Associat"),
            ("A Donaudampfschifffahrtsgesellschaft", "A Donaudampfschifffahrtsgesell"),
            ("D" * 40, "D" * 30),
        ],
    )
    def test_what_is_too_long_ends_with_a_word(self, text: str, short: str) -> None:
        assert one_line(text, 30) == short
