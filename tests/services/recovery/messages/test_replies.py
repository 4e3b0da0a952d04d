"""A no is heard as it was meant, in five languages; whatever else a person writes is left to a person to read."""

import pytest

from services.recovery.messages.replies import START, STOP, asks


@pytest.mark.parametrize(
    "body",
    [
        *(
            "STOP",
            "stop.",
            " Stop! ",
            "StopAll",
            "unsubscribe",
            "CANCEL",
            "End",
            "quit",
            "REVOKE",
            "opt-out",
            "Opt out",
        ),
        *("Stop please", "please stop", "Stop, thank you", "stop texting me", "STOP SMS", "No more texts", "stop 🙏"),
        *("Stopp", "STOPP!", "Bitte stopp", "abmelden", "Keine SMS mehr"),
        *("Alto", "PARAR", "Baja", "Darme de baja por favor", "no más mensajes"),
        *("ARRET", "Arrêt", "arrêtez s’il vous plaît", "STOP SVP", "plus de SMS"),
        *("Sair", "parar por favor", "Cancelar, obrigada"),
        *("\u200bSTOP", "ＳＴＯＰ", "stop\nstop"),
    ],
)
def test_a_no_is_heard(body: str) -> None:
    assert asks(body) == STOP


@pytest.mark.parametrize(
    "body",
    [
        *("", "🙏", "thanks", "ok thank you", "please", "I stopped by your office", "Stop by any time"),
        *("Stop charging my old card, I have a new one", "Don't stop my subscription please", "Non stop"),
        *("Why did you cancel my plan?", "cancel my subscription", "end of the month", "I will pay at the end"),
        *("Ich habe den Stopp schon aufgehoben", "Danke, alle bezahlt", "keine Nachricht erhalten"),
        *("estoy de baja hasta el lunes", "de todo", "no quiero cancelar", "vale, gracias"),
        *("merci, c'est payé", "je n'arrête pas d'essayer", "já paguei, obrigado", "вот stop кран"),
        "stop " * 7,
    ],
)
def test_a_sentence_is_no_stop(body: str) -> None:
    assert asks(body) == ""


@pytest.mark.parametrize(("body", "asked"), [("START", START), ("unstop.", START), ("Yes", START), ("yes I paid", "")])
def test_start_is_said_alone(body: str, asked: str) -> None:
    """What opens again has to be said in so many words; a yes to something else is none."""
    assert asks(body) == asked


@pytest.mark.parametrize(("kind", "asked"), [("STOP", STOP), (" start ", START), ("HELP", "")])
def test_what_twilio_names_itself_goes_first(kind: str, asked: str) -> None:
    assert asks("Nein", kind) == asked
