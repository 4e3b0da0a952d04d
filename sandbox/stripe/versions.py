"""API versions: which of the two invoice shapes a version speaks."""

ENDIVE = "2026-10-28.endive"  # what stripe-python 16 pins
ACACIA = "2024-12-18.acacia"  # the last before the change of 2025-03-31
BASIL_DATE = "2025-03-31"
SHAPES = ("acacia", "basil")


def shape_of(version: str) -> str:
    """`acacia` before 2025-03-31, `basil` since."""
    return "acacia" if version[:10] < BASIL_DATE else "basil"


def version_of(shape: str) -> str:
    """The version an account or endpoint of that shape is made with."""
    return ACACIA if shape == "acacia" else ENDIVE
