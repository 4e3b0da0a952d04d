"""What is wrong with a merchant's words, as the editor tells it."""

from phantom_app.state.message_views import FIELDS, MOST_FLAWS, flaws
from services.messaging import lint
from services.messaging.lint import Source
from services.messaging.markup import Problem

SOURCE = Source("A subject", "A heading", "One.\n\nTwo.", "A button")


def test_every_field_has_the_name_that_stands_above_it() -> None:
    assert set(FIELDS) == set().union(*lint.FIELDS.values())
    assert [flaw.field for flaw in flaws([Problem(3, 1, "x", "Why.", "body")], SOURCE)] == ["Text"]


def test_they_come_in_the_order_in_which_the_words_are_read() -> None:
    given = [Problem(3, 2, "x", "d", "body"), Problem(1, 1, "x", "e", "button"), Problem(3, 1, "x", "c", "body")]
    given += [Problem(1, 4, "x", "a", "subject"), Problem(1, 9, "x", "b", "body")]
    assert [flaw.message for flaw in flaws(given, SOURCE)] == ["a", "b", "c", "d", "e"]


def test_of_many_the_first_few_are_told() -> None:
    given = [Problem(1, 1 + number % 9, "x", "Why.", "subject") for number in range(3 * MOST_FLAWS)]
    assert len(flaws(given, SOURCE)) == MOST_FLAWS
