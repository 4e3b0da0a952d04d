"""The tokens are complete, legible in light and dark, and the style sheets use no others."""

import re
from pathlib import Path

import pytest

from phantom_app import theme

ASSETS = Path(theme.__file__).parent.parent / "assets"
SHEETS = sorted(ASSETS.glob("styles/*.css"))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


class TestTokens:
    def test_light_and_dark_have_the_same_names(self) -> None:
        assert theme.LIGHT.keys() == theme.DARK.keys()

    def test_every_tone_has_a_colour(self) -> None:
        assert {tone.value for tone in theme.Tone} <= theme.LIGHT.keys()

    @pytest.mark.parametrize("ground", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
    @pytest.mark.parametrize("name", ["ink", "ink-soft", "ink-faint"])
    def test_text_is_legible(self, ground: dict[str, str], name: str) -> None:
        for under in ("ground", "ground-raised", "ground-sunken", "ground-hover"):
            assert contrast(ground[name], ground[under]) >= 4.5

    @pytest.mark.parametrize("ground", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
    @pytest.mark.parametrize("tone", [tone for tone in theme.Tone if tone is not theme.Tone.NEUTRAL])
    def test_a_meaning_stands_out(self, ground: dict[str, str], tone: theme.Tone) -> None:
        assert contrast(ground[tone.value], ground["ground"]) >= 3


class TestStyleSheets:
    def test_all_are_loaded(self) -> None:
        assert {f"/styles/{sheet.name}" for sheet in SHEETS} == set(theme.STYLESHEETS)

    @pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
    def test_only_known_tokens(self, sheet: Path) -> None:
        known = {*theme.SCALE, *theme.LIGHT, "tone", "figure-size"}
        assert set(re.findall(r"var\(--([\w-]+)", sheet.read_text())) <= known

    @pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
    def test_no_colour_of_its_own_and_no_round_corner(self, sheet: Path) -> None:
        text = sheet.read_text()
        assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", text)) <= {"#ffffff"}  # the paper a mail is shown on
        assert set(re.findall(r"border-radius:\s*([^;]+);", text)) <= {"0"}

    def test_the_font_is_ours(self) -> None:
        for name in re.findall(r'url\("(/fonts/[^"]+)"\)', (ASSETS / "styles" / "base.css").read_text()):
            assert (ASSETS / name.lstrip("/")).stat().st_size > 10_000
        assert "SIL OPEN FONT LICENSE" in (ASSETS / "fonts" / "LICENSE.txt").read_text().upper()
