"""What a message must not say, per language, as patterns over folded text: lower case, without accents, ß as ss.

`private` and `cancelled` keep a bank's reasons, and endings that have not happened, from customers. `promise` is what
the last message must not say. `sales` would make a transactional message an advertisement (FACTS §3).
"""

import re

_EN = "en"
_PRIVATE = {
    "en": r"\b(?:lost|stolen|insufficient|funds|suspicious|blocked|black-?listed|overdrawn|overdraft|pick-?up card)\b"
    r"|\bfraud|\bdo not honou?r\b|\b(?:card|credit|spending|over (?:the|your)) limit\b"
    r"|\bnot enough (?:money|credit|balance)\b|\bno money (?:in|on)\b|\bempty account\b|\b(?:reported|as) missing\b",
    "de": r"\bverloren|\bgestohlen|\bdiebstahl|\bbetrug|\bgesperrt|\bverdachtig|\bguthaben\b"
    r"|\b(?:konto|karten|unter)?deckung\b|\bnicht gedeckt\b|\b(?:karten)?limits?\b|\buberzogen|\bkontostand\b"
    r"|\b(?:nicht genug(?:end)?|zu wenig|kein) geld\b|\bvermisst\b|\bkonto (?:ist|war) leer\b",
    "es": r"\bperdid[ao]s?\b|\brobad[ao]s?\b|\brobo\b|\bfraud|\binsuficien|\bfondos\b|\bbloquead|\bsospech"
    r"|\bdescubierto\b|\b(?:sin|falta de) (?:saldo|dinero)\b|(?<!fecha )(?<!date )(?<!data )(?<!data-)\blimite\b"
    r"|\bno (?:hay|tiene|habia|tenia) (?:suficiente |bastante )?(?:dinero|saldo)\b|\b(?:dinero|saldo) suficiente\b"
    r"|\bsuficiente (?:dinero|saldo)\b|\bcuenta vacia\b",
    "fr": r"\bperdue?s?\b|\bvolee?s?\b|\bfraud|\binsuffisan|\bbloquee?s?\b|\bsuspecte?s?\b|\bplafond|\ba decouvert\b"
    r"|\b(?:sans|defaut de|manque de) provision|\bprovision insuff|\b(?:en|mise en|fait) opposition\b"
    r"|\b(?:assez|manque|sans|plus) d'argent\b|\bcompte (?:est )?vide\b|\bsolde (?:trop )?faible\b",
    "pt": r"\bperdid[ao]s?\b|\broubad[ao]s?\b|\bfurtad[ao]s?\b|\bfraud|\binsuficien|\bbloquead|\bsuspeit|\bestourad"
    r"|\b(?:sem|falta de) (?:saldo|dinheiro)\b|\b(?:dinheiro|saldo) suficiente\b|\bsuficiente (?:dinheiro|saldo)\b"
    r"|\bnao (?:ha|tem|havia|tinha) (?:dinheiro|saldo)\b|\bconta vazia\b",
}
_PROMISE = {
    "en": r"\b(?:we|stripe|our system)(?: will|.?ll| shall| are going to)(?: \w+){0,2}"
    r" (?:try|retry|charge|attempt|collect|debit|bill|run|rerun|repeat|resubmit)\b"
    r"|\bre-?tr(?:y|ies|ied|ying)\b|\btry(?: \w+){0,3} again\b"
    r"|\b(?:another|next|further|new) (?:attempt|try)\b|\b(?:another|further|second) (?:charge|debit)\b"
    r"|\b(?:charged|tried|attempted) again\b|\bautomatic(?:ally)?\b"
    r"|(?<!thank you )(?<!thanks )\bonce more\b|\bone more time\b"
    r"|\b(?:will|shall|going to) be (?:\w+ )?(?:repeated|resubmitted|tried|attempted)\b",
    "de": r"\b(?:versuchen|probieren|buchen|belasten|ziehen|werden) wir\b"
    r"|\bwir (?:versuchen|probieren|buchen|belasten|ziehen|werden)\b|\berneut|\bnoch ?einmal\b|\bnochmals?\b"
    r"|\bwiederhol|\bautomatisch|\bversuch(?:e|s)? folg|buchungsversuch|\bnoch ?mal\b|\bein weiteres mal\b"
    r"|\b(?:neue|weitere|nachste|zweite)[rns]? versuch|\b(?:neue|weitere|zweite)[rns]? (?:abbuchung|einzug|belastung)",
    "es": r"\bvolveremos\b|\bintentaremos\b|\bcobraremos\b|\bvamos a (?:intentar|cobrar)|\bde nuevo\b|\bnuevamente\b"
    r"|\bautomatic|\breintent|\botr[oa] (?:intento|vez|cobro|cargo)\b|\b(?:se repetira|repetiremos)\b"
    r"|(?<!gracias )\buna vez mas\b|\b(?:proximo|siguiente) intento\b|\b(?:nuevo|segundo) (?:intento|cobro|cargo)\b",
    "fr": r"\bnous (?:allons|essaierons|essayerons|tenterons|preleverons|debiterons|reessa)|\b[ad]e? nouveau\b"
    r"|\bautomatique|\breessa[iy]|\bretent|\bencore une fois\b"
    r"|(?<!merci )\bune fois de plus\b|\bsera repete|\brepeterons\b|\bprochaine? (?:essai|tentative)\b"
    r"|\b(?:autre|nouvel|nouveau|nouvelle|second) (?:essai|tentative|prelevement|debit)\b",
    "pt": r"\btentaremos\b|\bcobraremos\b|\bvamos (?:tentar|cobrar)|\bnovamente\b|\bde novo\b|\bautomatic"
    r"|\boutra (?:vez|tentativa|cobranca)\b|\bretent|\b(?:sera repetid|repetiremos)"
    r"|(?<!obrigado )(?<!obrigada )\bmais uma vez\b|\bproxima tentativa\b"
    r"|\b(?:nova|segunda) (?:tentativa|cobranca)\b|\b(?:novo|outro) debito\b",
}
_SALES = {
    "en": r"\bdiscount|\boffers?\b|\bupgrad|\bdeals?\b|(?:%|per ?cent) off\b|(?<!feel )(?<!toll[- ])\bfree\b"
    r"|\bsave \S*\d|\bsavings\b|\bpromo"
    r"|\bcoupon|\bvoucher|\bbonus\b|\b(?:special|better|lower|best) price|\bon sale\b|\bcheaper\b",
    "de": r"\brabatt|angebot\b|angebote\b|\bsparen\b|\bspare\b|\bgratis\b|\bkostenlos|\bupgrad|\bgutschein|sonderpreis"
    r"|aktionspreis|\bpreisnachlass|\bbonus\b|\bpramie\b|\b(?:gunstiger|billiger)",
    "es": r"\bdescuento|\boferta|\bahorr[aeo]|\bgratis\b|\bgratuit|\bpromocion|\brebaja|\bcupon|\bupgrade"
    r"|\bmejore su plan\b|\bmas (?:barat|economic)",
    "fr": r"\bremises?\b|\boffres?\b|\beconomis|\bgratuit|\bpromo|\bsoldes\b|\breductions?\b|\bbons? d.achat|\bcadeau"
    r"|\bupgrade|\bmoins cher|\bmeilleur prix\b",
    "pt": r"\bdesconto|\boferta|\beconomiz|\bgratis\b|\bgratuit|\bpromoc|\bcupo[mn]|\bupgrade|\bbrindes?\b"
    r"|\bmais (?:barat|economic)",
}
_CANCELLED = {
    "en": r"\b(?:cancell?ed|terminated|deactivated|suspended|shut down)\b|\bhas (?:been )?(?:ended|expired|closed)\b",
    "de": r"\bgekundigt|\bstorniert|\bbeendet\b|\bdeaktiviert|\bstillgelegt|\bausgesetzt\b",
    "es": r"\bcancelad[ao]s?\b|\banulad[ao]s?\b|\bdad[ao] de baja\b|\bfinalizad[ao]s?\b|\bsuspendid[ao]s?\b",
    "fr": r"\bresiliee?s?\b|\bannulee?s?\b|\bsuspendue?s?\b|\bdesactivee?s?\b|\ba pris fin\b",
    "pt": r"\bcancelad[ao]s?\b|\banulad[ao]s?\b|\bencerrad[ao]s?\b|\bsuspens[ao]s?\b|\bdesativad[ao]s?\b",
}
_CODE = r"\b[a-z]+(?:_[a-z0-9]+)+\b"  # decline codes as Stripe writes them


def _compiled(*patterns: str) -> "re.Pattern[str]":
    return re.compile("|".join(patterns))


def _with_english(patterns: dict[str, str]) -> "dict[str, re.Pattern[str]]":
    return {
        language: _compiled(pattern, *([patterns[_EN]] if language != _EN else []))
        for language, pattern in patterns.items()
    }


# Whatever language a slot is for, a reason in any of the five would be read by somebody.
PRIVATE = _compiled(*_PRIVATE.values(), _CODE)
PROMISE = _with_english(_PROMISE)
SALES = _with_english(_SALES)
CANCELLED = _with_english(_CANCELLED)
