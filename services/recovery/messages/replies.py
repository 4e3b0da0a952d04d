"""What a reply to a text message asks for. Pure.

Who means STOP says so in their own language, with a please or a thank you, and not always as Twilio knows it (its
default words are English, and it hears them alone). A reply is a no where each of its words is one of a short list:
what ends something, what is ended, and what is polite. No sentence that says anything else is made of these alone.
"""

import re
import unicodedata

STOP, START = "STOP", "START"
MOST_WORDS = 6
_START_WORDS = frozenset({"start", "unstop", "yes"})
# Folded: lower case, no accents. Twilio's own first (docs: "Twilio support for opt-out keywords"; ARRET is of its
# French-Canadian numbers), then what people write where we ask for STOP in German, Spanish, French and Portuguese.
_ENDS = frozenset(
    {
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
        *("stopp", "stoppen", "abmelden", "abmeldung", "abbestellen"),
        *("alto", "parar", "pare", "baja", "cancelar", "sair", "descadastrar"),
        *("arret", "arrett", "arrete", "arretez", "arreter"),
        *("desabonner", "desabonnez", "desinscrire", "desinscription"),
    }
)
_BESIDE = frozenset(
    {
        *("please", "pls", "plz", "thanks", "thank", "you", "now", "all", "it", "this", "me"),
        *("text", "texts", "texting", "sms", "message", "messages", "messaging", "sending"),
        *("bitte", "danke", "sofort", "alle", "keine", "nachricht", "nachrichten"),
        *("por", "favor", "gracias", "ya", "todo", "mensaje", "mensajes", "darme", "de"),
        *("s", "il", "vous", "te", "plait", "svp", "merci", "tout", "les", "des"),
        *("obrigado", "obrigada", "ja", "tudo", "mensagem", "mensagens"),
    }
)
_PHRASES = frozenset(
    {
        *("no more", "no more texts", "no more messages", "no more sms"),
        *("keine sms mehr", "keine nachrichten mehr", "no mas mensajes", "no mas sms"),
        *("plus de sms", "plus de messages", "nao quero mais mensagens", "chega de mensagens"),
    }
)
_WORDS = re.compile(r"[^\W_]+")


def asks(body: str, opt_out_type: str = "") -> str:
    """`STOP` or `START` where a reply asks for it, else empty. Twilio names it itself where it has words of its own."""
    told = opt_out_type.strip().upper()
    if told in (STOP, START):
        return told
    words = _WORDS.findall(_folded(body).replace("opt out", "optout").replace("opt-out", "optout"))
    if len(words) > MOST_WORDS or not words:
        return ""
    if " ".join(words) in _PHRASES or (_ENDS & set(words) and set(words) <= _ENDS | _BESIDE):
        return STOP
    return START if len(words) == 1 and words[0] in _START_WORDS else ""


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(each for each in plain if not unicodedata.combining(each)).casefold()
