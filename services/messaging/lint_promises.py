"""What the last message must not promise, per language, as patterns over folded text like those of `lint_words.py`.

`promise` speaks of another attempt and `charge` of money that will be taken; `denial` is what may be said of both.
"""

from services.messaging.lint_words import with_english

_EN_MONEY = (
    r"(?:it\b|(?:your|the|this) (?:\w+ ){0,2}(?:card|payment|amount|charge|account)\b(?! (?:page|link|details|data)))"
)
_PROMISE = {
    "en": r"\b(?:we|stripe|our system)(?: will|.?ll| shall|(?: are| is|.re) going to)(?: \w+){0,2}"
    r" (?:try|retry|charge|attempt|collect|debit|bill|run|rerun|repeat|resubmit)\b"
    r"|\bre-?tr(?:y|ies|ied|ying)\b|\btry(?: \w+){0,3} again\b"
    r"|\b(?:another|next|further|new) (?:attempt|try)\b|\b(?:another|further|second|new) (?:charge|debit)\b"
    r"|(?<!after a )(?<!after the )(?<!after our )\b(?:second|third|fourth|final|more|further)"
    r" (?:attempts?|try|tries)\b(?! (?:\w+ )?(?:failed|was|were|did|has|had)\b)"
    r"|\battempts? (?:\w+ )?(?:follows?|(?:is|are) (?:planned|scheduled|due|set)|takes? place|happens?)\b"
    r"|\b(?:we|system)(?:.re| are| is) (?:(?!not\b)\w+ )?(?:try|charg|collect|debit|bill|attempt|runn)ing"
    r" (?:you\b|again\b|to (?:charge|collect|take|debit)\b|" + _EN_MONEY + r")"
    r"|\b(?:we|stripe|system) (?:(?!not\b|never\b)\w+ )?(?:try|tries|attempts?|runs?|repeats?|takes) "
    + _EN_MONEY
    + r"|\b(?:we|stripe|system)(?: will|.ll)? (?:keeps?|continues?|goes|go) (?:on )?(?:to )?"
    r"(?:try|charg|attempt|collect|at it\b)"
    r"|\b(?:charge|debit|bill|collect)s? (?:\w+ ){1,3}again\b"
    r"|\b(?:charged|tried|attempted|scheduled|presented|submitted) again\b|\bbank (?:\w+ ){0,3}asked again\b"
    r"|\bautomatic(?:ally)?\b"
    r"|\b(?:we|stripe)(?: will|.?ll)(?: \w+){0,3} another go\b"
    r"|(?<!thank you )(?<!thanks )\bonce more\b|\bone more time\b"
    r"|\b(?:will|shall|going to) be (?:\w+ )?(?:repeated|resubmitted|tried|attempted)\b",
    "de": r"\b(?:versuchen|probieren|buchen|belasten|ziehen|werden) wir\b"
    r"|\bwir (?:versuchen|probieren|buchen|belasten|ziehen|werden)\b|\berneut|\bnoch ?einmal\b|\bnochmals?\b"
    r"|\bwiederhol|\bautomatisch|\bversuch(?:e|s)? folg|buchungsversuch|\bnoch ?mal\b|\bein weiteres mal\b"
    r"|\b(?:neue|weitere|zweite)[rns]? (?:abbuchung|einzug|belastung)"
    r"|\b(?:neue|weitere|nachste)[rns]? (?:versuch|anlauf)"
    r"|(?<!nach dem )\b(?:zweite|dritte|vierte)[rns]? (?:versuch|anlauf)(?! (?:\w+ )?(?:schlug|war|ist gescheitert))"
    r"|\b(?:stripe|system) (?:versucht|probiert)\b"
    r"|\b(?:versucht|probiert) (?:es )?(?:stripe|(?:das|unser) system)\b",
    "es": r"\bvolveremos\b|\bintentaremos\b|\bcobraremos\b|\bvamos a (?:intentar|cobrar)|\bde nuevo\b|\bnuevamente\b"
    r"|\bautomatic|\breintent|\botr[oa] (?:intento|vez|cobro|cargo)\b|\b(?:se repetira|repetiremos)\b"
    r"|(?<!gracias )\buna vez mas\b|\b(?:proximo|siguiente) intento\b|\bnuevo (?:intento|cobro|cargo)\b"
    r"|(?<!tras el )(?<!tras un )(?<!del )(?<!de la )(?<!tras la )(?<!apos a )(?<!apos uma )(?<!depois da )"
    r"\b(?:segund[oa]|tercer|cuarto) (?:intento|tentativa|cobro|cargo)\b(?! fallo)"
    r"|\b(?:mas|nuevos|otros|nueva|otra) (?:intento|tentativa)s?\b|\bprobaremos\b"
    r"|\b(?:seguimos|seguiremos|sigue|seguira|continuamos|continuaremos|estamos) (?:intentand|cobrand|proband)"
    r"|\b(?:stripe|sistema) (?:va a |lo )?(?:intenta|intentar|intentara|prueba|probar|probara)\b",
    "fr": r"\bnous (?:allons|essaierons|essayerons|tenterons|preleverons|debiterons|reessa)|\b[ad]e? nouveau\b"
    r"|\bautomatique|\breessa[iy]|\bretent|\bencore une fois\b"
    r"|(?<!merci )\bune fois de plus\b|\bsera repete|\brepeterons\b|\bprochaine? (?:essai|tentative)\b"
    r"|\b(?:autre|nouvel|nouvelle|nouveau)s? (?:essai|tentative|prelevement|debit)s?\b"
    r"|(?<!apres le )(?<!apres la )(?<!apres une )\b(?:seconde?|deuxieme|troisieme)"
    r" (?:essai|tentative|prelevement|debit)\b(?! a (?:\w+ )?echoue)|\bnous (?:essayons|tentons)(?! de vous\b)"
    r"|\bcontinu(?:ons|erons|e|era) (?:d'|a |de )(?:essayer|tenter|prelever|debiter|presenter)"
    r"|\b(?:stripe|systeme) (?:va )?(?:essa[iy]e|tente|presente)(?:ra?)?\b",
    "pt": r"\btentaremos\b|\bcobraremos\b|\bvamos (?:tentar|cobrar)|\bnovamente\b|\bde novo\b|\bautomatic"
    r"|\boutra (?:vez|tentativa|cobranca)\b|\bretent|\b(?:sera repetid|repetiremos)"
    r"|(?<!obrigado )(?<!obrigada )\bmais uma vez\b|\bproxima tentativa\b"
    r"|\bnova (?:tentativa|cobranca)\b|\b(?:novo|outro) debito\b|\b(?:mais|novas|outras) tentativas?\b"
    r"|(?<!apos a )(?<!apos uma )(?<!depois da )\b(?:segunda|terceira|quarta) (?:tentativa|cobranca)\b(?! falhou)"
    r"|\b(?:estamos|continuamos|continuaremos|seguimos|continua) (?:a )?(?:tenta|cobra)(?:r|ndo)\b"
    r"|\b(?:stripe|sistema) (?:vai )?(?:tenta|tentar|tentara)\b",
}
# That money will be taken: of an open payment a promise, and before a charge the very thing there is to say. That
# nothing will be, and when the next payment is due, promises nothing.
_CHARGE = {
    "en": r"(?<!nothing )(?<!fee )(?<!fees )\b(?:will|shall|going to) be (?:(?!not |never )\w+ )?"
    r"(?:charged|debited|billed|collected)\b"
    r"|\b(?:payment|amount|money|sum|charge) (?:will|shall|to|is going to) be (?:\w+ )?taken\b"
    r"|\b(?:we|stripe) (?:charges?|debits?|bills?|collects?) (?:your|the) (?:card|account|amount|payment)\b"
    r"|(?<!next )\bcharge (?:will|shall) (?:go through|follow|happen|take place)\b"
    r"|(?<!next )\bcharge is (?:planned|scheduled|set) for\b"
    r"|\bexpect (?:a|the|your) (?:\w+ )?(?:charge|debit)\b",
    "de": r"(?<!nichts )\b(?:wird|werden)(?: +(?!nicht\b|nichts\b|nie\b|kein)[\w.,]+){0,5}"
    r" +(?:belastet|belasten|abgebucht|abbuchen|eingezogen|einziehen)\b"
    r"|\b(?:rechnen|erwarten) sie (?:(?!kein)\w+ ){0,4}(?:abbuchung|belastung)\b"
    r"|(?<!nachste )(?<!nachster )(?<!keine )\b(?:abbuchung|belastung|einzug) (?:erfolgt|folgt|findet"
    r"|ist \w+ \w+ geplant)\b"
    r"|\bbucht(?: +(?!nichts?\b|nie\b|kein)[\w.,]+){0,6} +ab\b|\b(?:stripe|system) belastet\b"
    r"|\bbelastet (?:stripe|unser)\b"
    r"|\b(?:stripe|system) zieht(?: +(?!nichts?\b|nie\b|kein)[\w.,]+){0,6} +ein\b|\bzieht stripe\b",
    "es": r"(?<!no )(?<!no se )\b(?:se|le) (?:cargara|cobrara|debitara|adeudara)n?\b"
    r"|(?<!no )(?<!nada )\bsera (?:\w+ )?(?:cargad|cobrad|debitad|adeudad)[ao]\b"
    r"|(?<!proximo )(?<!siguiente )\b(?:cargo|cobro|debito) (?:sera|se (?:hara|realizara|efectuara))\b"
    r"|\b(?:stripe|sistema) (?:va a |le |lo )?(?:cobra|cobrar|cobrara|carga|cargara|debita|debitara)\b(?! (?:por|en) )"
    r"|\bespere (?:el|un) (?:\w+ )?(?:cargo|cobro)\b",
    "fr": r"(?<!ne )\bser(?:a|ont) (?:\w+ )?(?:debite|preleve|facture)e?s?\b"
    r"|(?<!prochain )(?<!aucun )\b(?:prelevement|debit) (?:sera|suivra|suit|aura lieu|est prevu)\b"
    r"|\b(?:stripe|systeme|nous) (?:vous |va )?(?:prelev|debit)(?:e|er|era|erons|ons)\b"
    r"|\battendez-vous a (?:un|le) (?:\w+ )?(?:prelevement|debit)\b",
    "pt": r"(?<!nao )(?<!nada )\bser(?:a|ao) (?:\w+ )?(?:cobrad|debitad)[ao]s?\b"
    r"|(?<!proxima )(?<!proximo )(?<!nenhuma )(?<!nenhum )\b(?:cobranca|debito) (?:sera|ocorrera)\b"
    r"|\b(?:stripe|sistema) (?:vai )?(?:cobra|debita)(?:r|ra)?\b(?! (?:por|em) )"
    r"|\bespere (?:a|uma|o|um) (?:\w+ )?(?:cobranca|debito)\b",
}
# That nothing more will be tried is the truth of a last message, and no promise, whatever words it shares with one.
_DENIAL = {
    "en": r"\b(?:(?:will|shall|do|does|are|is)(?: not|n't)|will never|won't|nobody will)"
    r" (?:be )?(?:try|tried|retry|retried|charge|charged|debit|attempt|attempted|collect|collected|run|repeat|repeated)"
    r"\b(?:(?: (?!but |and )\w+){0,3}? (?:again|once more|automatically))?"
    r"|\b(?:no|not make another|not make a) (?:(?:further|more|other|new|next|second|automatic) )*"
    r"(?:attempts?|charges?|debits?|tries)\b",
    "de": r"\b(?:wir (?:versuchen|probieren|buchen|belasten|ziehen|werden)"
    r"|(?:versuchen|probieren|buchen|belasten|ziehen|werden) wir)(?: (?!und )\w+){0,3}? (?:nichts?|nie|kein\w*)\b"
    r"(?: mehr)?(?:(?: (?!und |aber |sondern )\w+){0,2}? (?:erneut|noch ?einmal|nochmals?))?"
    r"|\bkein\w* (?:weitere|neue|nachste|zweite)\w* (?:versuch|anlauf|abbuchung|einzug|belastung)\w*"
    r"|\bnicht (?:mehr )?(?:erneut|noch ?einmal|nochmals?|automatisch\w*)",
    "es": r"\bno (?:(?:se|lo|la|le) )?(?:volveremos|intentaremos|cobraremos|probaremos|repetiremos|repetira|"
    r"reintentaremos|habra|haremos|vamos a (?:intentar|cobrar))\w*"
    r"(?:(?: (?!pero |sino |y )\w+){0,3}? (?:de nuevo|nuevamente|otra vez|automatica\w*|"
    r"(?:mas|otros?|nuevos?|ningun otro) (?:intento|cobro|cargo)s?))?",
    "fr": r"\bn(?:e |')(?:\w+ ){0,2}?(?:reessa|essa|tente|retente|preleve|debite|repete|sera|allons|y aura)\w*"
    r" (?:pas|plus|jamais)\b"
    r"(?:(?: (?!mais |et )[\w']+){0,3}? (?:a nouveau|de nouveau|encore une fois|automatiquement))?"
    r"(?: (?:d'|de )(?:autre|nouvel|second)\w* (?:essai|tentative|prelevement|debit)s?)?"
    r"|\baucun\w* (?:autre|nouvel|nouveau|second)\w* (?:essai|tentative|prelevement|debit)s?",
    "pt": r"\bnao (?:(?:o|a|se|lhe) )?(?:tentaremos|cobraremos|repetiremos|havera|faremos|sera (?:cobrad|repetid)\w+|"
    r"vamos (?:tentar|cobrar))(?:(?: (?!mas |e )\w+){0,3}? (?:novamente|de novo|outra vez|mais uma vez|automatica\w*|"
    r"(?:nova|outra|segunda|mais)s? (?:tentativa|cobranca)s?))?|\bnenhuma (?:nova|outra) (?:tentativa|cobranca)",
}

PROMISE = with_english(_PROMISE)
CHARGE = with_english(_CHARGE)
DENIAL = with_english(_DENIAL)
