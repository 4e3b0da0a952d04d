"""Design tokens: white or near-black ground, greys, hairlines, and colour only where it means something.

The five meanings of money are the only hues of the interface. `stylesheet()` is the first style sheet of every
page; everything after it names tokens, never colours.
"""

from enum import StrEnum

STYLESHEETS = [
    f"/styles/{name}.css"
    for name in (
        "base",
        "shell",
        "controls",
        "parts",
        "tables",
        "figures",
        "charts",
        "lists",
        "ghost",
        "system",
        "tasks",
        "messages",
        "rules",
        "public",
    )
]
"""In the order of the cascade: ground rules first, pages last."""


class Tone(StrEnum):
    """What a colour means. A tone is always shown together with its word."""

    NEUTRAL = "neutral"
    LEAKING = "leaking"
    AT_RISK = "at-risk"
    IN_RECOVERY = "in-recovery"
    RECOVERED = "recovered"
    PROTECTED = "protected"


LIGHT = {
    "ground": "#ffffff",
    "ground-raised": "#ffffff",
    "ground-sunken": "#fafafa",
    "ground-hover": "#f5f5f5",
    "ink": "#0a0a0a",
    "ink-soft": "#525252",
    "ink-faint": "#6f6f6f",
    "hairline": "#e5e5e5",
    "hairline-strong": "#d4d4d4",
    "action": "#0a0a0a",
    "action-hover": "#262626",
    "action-ink": "#ffffff",
    "focus": "#0a0a0a",
    "leaking": "#c0271d",
    "at-risk": "#a15c07",
    "in-recovery": "#1d4ed8",
    "recovered": "#0b7a4b",
    "protected": "#0f6f78",
    "neutral": "#6f6f6f",
}

DARK = {
    "ground": "#0b0b0c",
    "ground-raised": "#101012",
    "ground-sunken": "#111113",
    "ground-hover": "#19191c",
    "ink": "#f5f5f5",
    "ink-soft": "#b4b4b8",
    "ink-faint": "#8f8f96",
    "hairline": "#242428",
    "hairline-strong": "#36363c",
    "action": "#f5f5f5",
    "action-hover": "#d9d9d9",
    "action-ink": "#0b0b0c",
    "focus": "#f5f5f5",
    "leaking": "#ff6b5e",
    "at-risk": "#e5a13a",
    "in-recovery": "#7aa2ff",
    "recovered": "#3ecf8e",
    "protected": "#4fc3d0",
    "neutral": "#8f8f96",
}

SCALE = {
    "font": '"Inter", ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif',
    "font-mono": 'ui-monospace, "SF Mono", "JetBrains Mono", Menlo, Consolas, monospace',
    "text-xs": "0.75rem",
    "text-sm": "0.8125rem",
    "text-md": "0.875rem",
    "text-lg": "1rem",
    "text-xl": "1.25rem",
    "text-2xl": "1.625rem",
    "text-3xl": "2.25rem",
    "text-hero": "clamp(2.25rem, 5vw, 3.75rem)",
    "space-1": "4px",
    "space-2": "8px",
    "space-3": "12px",
    "space-4": "16px",
    "space-5": "24px",
    "space-6": "32px",
    "space-7": "48px",
    "space-8": "64px",
    "space-9": "96px",
    "nav-width": "224px",
    "bar-height": "56px",
    "content": "1200px",
}


def _block(tokens: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in tokens.items())


def stylesheet() -> str:
    """Custom properties for both grounds. Reflex puts `light` or `dark` on <html> before the first paint."""
    return f":root{{{_block(SCALE)}{_block(LIGHT)}color-scheme:light}}\n.dark{{{_block(DARK)}color-scheme:dark}}\n"
