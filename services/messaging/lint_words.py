"""What a message must not say, per language, as patterns over folded text: lower case, without accents, ß as ss.

`private` and `cancelled` keep a bank's reasons, and endings that have not happened, from customers. `promise` and
`charge` are what the last message must not say. `sales` would make a transactional message an advertisement (FACTS §3).
"""

import re

_EN = "en"
_PRIVATE = {
    "en": r"\b(?:lost|stolen|insufficient|funds|suspicious|blocked|black-?listed|overdrawn|overdraft|pick-?up card)\b"
    r"|\bfraud|\bdo not honou?r\b|\b(?:card|credit|spending|over (?:the|your)) limit\b"
    r"|\b(?:enough|lack of|too little) (?:money|credit|balance)\b|\bno money (?:in|on)\b|\bempty account\b"
    r"|\bbalance (?:[\w']+ ){0,3}(?:low|empty|short|sufficient|negative)\b|\b(?:reported|as) missing\b"
    r"|\bmisused?\b|\bflagged\b|\bsufficient (?:\w+ )?(?:balance|money|credit)\b|\bcredit line\b|\bline of credit\b"
    r"|\b(?:ran|runs?|running) out of (?:money|credit|cash)\b|\bshort (?:of|on) (?:money|credit|cash)\b",
    "de": r"\bverloren|\bgestohlen|\bdiebstahl|\bbetrug|\bgesperrt|\bverdachtig|\bguthaben\b"
    r"|\b(?:konto|karten|unter)?deckung\b|\bnicht (?:ausreichend |genugend |voll )?gedeckt\b|\b(?:karten)?limits?\b"
    r"|\buberzogen|\bkontostand\b|\b(?:kredit|verfugungs)rahmen\b|\bsaldo (?:\w+ ){0,3}(?:niedrig|gering)\b"
    r"|\b(?:nicht genug(?:end)?|zu wenig|kein) geld\b|\bvermisst\b|\bkonto (?:ist|war) leer\b"
    r"|\bgeld (?:\w+ ){0,5}(?:ge)?reicht|\bkreditlinie\b",
    "es": r"\bperdid[ao]s?\b|\brobad[ao]s?\b|\brobo\b|\bfraud|\binsuficien|\bfondos\b|\bbloquead|\bsospech"
    r"|\bdescubierto\b|\b(?:sin|falta de) (?:saldo|dinero)\b|(?<!fecha )(?<!date )(?<!data )(?<!data-)\blimite\b"
    r"|\bno (?:hay|tiene|habia|tenia) (?:suficiente |bastante )?(?:dinero|saldo)\b|\b(?:dinero|saldo) suficiente\b"
    r"|\bsuficiente (?:dinero|saldo)\b|\bcuenta vacia\b|\bsaldo (?:\w+ ){0,3}bajo\b|\bfalta(?:n|ba)? dinero\b"
    r"|\b(?:dinero|saldo) (?:no )?(?:le )?alcanz|\blinea de credito\b",
    "fr": r"\bperdue?s?\b|\bvolee?s?\b|\bfraud|\binsuffisan|\bbloquee?s?\b|\bsuspecte?s?\b|\bplafond|\ba decouvert\b"
    r"|\b(?:sans|defaut de|manque de) provision|\bprovision insuff|\b(?:en|mise en|fait) opposition\b"
    r"|\b(?:assez|manque|sans|plus) d'argent\b|\bmanque de l'argent\b|\bapprovisionne|\bcompte (?:est )?vide\b"
    r"|\bsolde (?:\w+ ){0,3}(?:faible|bas)\b|\ba court d'argent\b|\bligne de credit\b",
    "pt": r"\bperdid[ao]s?\b|\broubad[ao]s?\b|\bfurtad[ao]s?\b|\bfraud|\binsuficien|\bbloquead|\bsuspeit|\bestourad"
    r"|\b(?:sem|falta de) (?:saldo|dinheiro)\b|\b(?:dinheiro|saldo) suficiente\b|\bsuficiente (?:dinheiro|saldo)\b"
    r"|\bnao (?:ha|tem|havia|tinha) (?:dinheiro|saldo)\b|\bconta vazia\b|\bsaldo (?:\w+ ){0,3}baixo\b"
    r"|\bfalta(?:m|va)? (?:dinheiro|saldo)\b|\blinha de credito\b",
}
_PROMISE = {
    "en": r"\b(?:we|stripe|our system)(?: will|.?ll| shall| are going to)(?: \w+){0,2}"
    r" (?:try|retry|charge|attempt|collect|debit|bill|run|rerun|repeat|resubmit)\b"
    r"|\bre-?tr(?:y|ies|ied|ying)\b|\btry(?: \w+){0,3} again\b"
    r"|\b(?:another|next|further|new) (?:attempt|try)\b|\b(?:another|further|second|new) (?:charge|debit)\b"
    r"|\b(?:charge|debit|bill|collect)s? (?:\w+ ){1,3}again\b"
    r"|\b(?:charged|tried|attempted|scheduled) again\b|\bautomatic(?:ally)?\b"
    r"|\b(?:we|stripe)(?: will|.?ll)(?: \w+){0,3} another go\b"
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
# That money will be taken: of an open payment a promise, and before a charge the very thing there is to say. That
# nothing will be, and when the next payment is due, promises nothing.
_CHARGE = {
    "en": r"(?<!nothing )(?<!fee )(?<!fees )\b(?:will|shall|going to) be (?:(?!not |never )\w+ )?"
    r"(?:charged|debited|billed|collected)\b"
    r"|\b(?:payment|amount|money|sum|charge) (?:will|shall|to|is going to) be (?:\w+ )?taken\b"
    r"|\b(?:we|stripe) (?:charges?|debits?|bills?|collects?) (?:your|the) (?:card|account|amount|payment)\b"
    r"|(?<!next )\bcharge (?:will|shall) (?:go through|follow|happen|take place)\b",
    "de": r"(?<!nichts )\b(?:wird|werden)(?: +(?!nicht\b|nichts\b|nie\b|kein)[\w.,]+){0,5}"
    r" +(?:belastet|abgebucht|eingezogen)\b"
    r"|(?<!nachste )(?<!nachster )(?<!keine )\b(?:abbuchung|belastung|einzug) (?:erfolgt|folgt|findet)\b",
    "es": r"(?<!no )(?<!no se )\b(?:se|le) (?:cargara|cobrara|debitara|adeudara)n?\b"
    r"|(?<!no )(?<!nada )\bsera (?:\w+ )?(?:cargad|cobrad|debitad|adeudad)[ao]\b"
    r"|(?<!proximo )(?<!siguiente )\b(?:cargo|cobro|debito) (?:sera|se (?:hara|realizara|efectuara))\b",
    "fr": r"(?<!ne )\bser(?:a|ont) (?:\w+ )?(?:debite|preleve|facture)e?s?\b"
    r"|(?<!prochain )(?<!aucun )\b(?:prelevement|debit) (?:sera|suivra|aura lieu)\b",
    "pt": r"(?<!nao )(?<!nada )\bser(?:a|ao) (?:\w+ )?(?:cobrad|debitad)[ao]s?\b"
    r"|(?<!proxima )(?<!proximo )(?<!nenhuma )(?<!nenhum )\b(?:cobranca|debito) (?:sera|ocorrera)\b",
}
_SALES = {
    "en": r"\bdiscount|\boffers?\b|\bupgrad|\bdeals?\b|(?:%|per ?cent) off\b|(?<!feel )(?<!toll[- ])\bfree\b"
    r"|\bsave \S*\d|\bsavings\b|\bpromo|\bhalf[- ]price\b|\b(?:month|months|year) (?:is |are )?on us\b"
    r"|\bpay less\b|% less\b|\btry our (?:\w+ ){0,2}plans?\b"
    r"|\bswitch to (?:our|the|an?) (?:\w+ ){0,2}(?:plans?|subscriptions?)\b|\bcod(?:e|igo) [a-z]{3,}\d+\b"
    r"|\bcoupon|\bvoucher|\bbonus\b|\b(?:special|better|lower|best) price|\bon sale\b|\bcheaper\b",
    "de": r"\brabatt|angebot\b|angebote\b|\bsparen\b|\bspare\b|\bgratis\b|\bkostenlos|\bupgrad|\bgutschein|sonderpreis"
    r"|aktionspreis|\b(?:preis)?nachlass(?:es)?\b|\bbonus\b|\bpramie\b|\b(?:gunstiger|billiger)|\bhalbe[nr]? preis"
    r"|\b(?:geht|gehen) auf uns\b|\baufs haus\b|% weniger\b|\bzahlen sie weniger\b"
    r"|\btesten sie unsere[nrs]? (?:[\w-]+ )?[\w-]*(?:tarif|plan|paket)\b"
    r"|\bwechseln sie (?:\w+ )?(?:zum|zur|in|auf) (?:\w+ ){0,2}[\w-]*(?:tarif|plan|paket|abo|abonnement)\b",
    "es": r"\bdescuento|\boferta|\bahorr[aeo]|\bgratis\b|\bgratuit|\bpromocion|\brebaja|\bcupon|\bupgrade"
    r"|\bmejore su plan\b|\bmas (?:barat|economic)|% menos\b|\bmitad de precio\b|\bpor nuestra cuenta\b"
    r"|\bpruebe nuestr[oa] (?:\w+ )?(?:plan|tarifa)\b"
    r"|\bcambie(?:se)? (?:\w+ )?(?:al|a la|a nuestr[oa]) (?:\w+ )?(?:plan|tarifa|suscripcion)\b",
    "fr": r"\bremises?\b|\boffres?\b|\beconomis|\bgratuit|\bpromo|\bsoldes\b|\breductions?\b|\bbons? d.achat|\bcadeau"
    r"|\bupgrade|\bmoins cher|\bmeilleur prix\b|\brabais\b|\bofferte?s?\b|\bmoitie prix\b|% de moins\b"
    r"|\bessayez notre (?:\w+ )?(?:formule|abonnement)\b"
    r"|\bpassez (?:\w+ )?(?:au |a la |a l'|a notre )(?:\w+ )?(?:formule|abonnement)\b",
    "pt": r"\bdesconto|\boferta|\beconomiz|\bgratis\b|\bgratuit|\bpromoc|\bcupo[mn]|\bupgrade|\bbrindes?\b"
    r"|\bmais (?:barat|economic)|% a menos\b|\bmetade do preco\b|\bpor nossa conta\b"
    r"|\bexperimente (?:o|nosso) (?:\w+ )?plano\b|\bpoup(?:e|a|ar|em)\b"
    r"|\bmude (?:\w+ )?para (?:o|a|nosso|nossa) (?:\w+ )?(?:plano|assinatura)\b",
}
_CANCELLED = {
    "en": r"\b(?:cancell?ed|terminated|deactivated|suspended|shut down)\b|\bhas (?:been )?(?:ended|expired|closed)\b"
    r"|\b(?:subscription|plan|membership|account|access) (?:is|was|has been) (?:over|paused|locked|closed|revoked)\b"
    r"|(?<!will )\bno longer ha(?:ve|s) (?:\w+ )?access\b",
    "de": r"\bgekundigt|\bstorniert|\bbeendet\b|\bdeaktiviert|\bstillgelegt|\bausgesetzt\b"
    r"|\b(?:abo|abonnement|mitgliedschaft|vertrag|tarif|zugang) ist (?:\w+ )?(?:abgelaufen|pausiert|vorbei|zu ende)\b"
    r"|\b(?:abo|abonnement|mitgliedschaft|tarif) wurde (?:\w+ )?pausiert\b|\bhaben keinen zugang mehr\b",
    "es": r"\bcancelad[ao]s?\b|\banulad[ao]s?\b|\bdad[ao] de baja\b|\bfinalizad[ao]s?\b|\bsuspendid[ao]s?\b"
    r"|\b(?:suscripcion|plan) (?:ha )?(?:terminado|expirado|vencido|termino|expiro|vencio)\b|\bya no tiene acceso\b",
    "fr": r"\bresiliee?s?\b|\bannulee?s?\b|\bsuspendue?s?\b|\bdesactivee?s?\b|\ba pris fin\b"
    r"|\babonnement (?:est|a) (?:\w+ )?(?:termine|expire|fini)\b|\bn'avez plus (?:d')?acces\b",
    "pt": r"\bcancelad[ao]s?\b|\banulad[ao]s?\b|\bencerrad[ao]s?\b|\bsuspens[ao]s?\b|\bdesativad[ao]s?\b"
    r"|\bassinatura (?:acabou|terminou|expirou|venceu)\b|\b(?:ja nao tem|nao tem mais) acesso\b",
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
CHARGE = _with_english(_CHARGE)
SALES = _with_english(_SALES)
CANCELLED = _with_english(_CANCELLED)
