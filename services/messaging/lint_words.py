"""What a message must not say, per language, as patterns over folded text: lower case, without accents, ß as ss.

`private` and `cancelled` keep a bank's reasons, and endings that have not happened, from customers. `sales` would make
a transactional message an advertisement (FACTS §3). What the last message must not promise: `lint_promises.py`.
"""

import re

_EN = "en"
_PRIVATE = {
    "en": r"\b(?:lost|stolen|insufficient|funds|suspicious|blocked|black-?listed|overdrawn|overdraft|pick-?up card)\b"
    r"|\bfraud|\bdo not honou?r\b|\b(?:card|credit|spending|over (?:the|your)) limit\b"
    r"|\b(?:enough|lack of|too little) (?:money|credit|balance|cash)\b|\bno money (?:in|on)\b|\bmaxed out\b"
    r"|\bin the red\b"
    r"|\b(?:enough|sufficient|too little) (?:money |left )?(?:in|on) (?:the|your) (?:\w+ )?(?:account|card)\b"
    r"|\b(?:low|empty|negative) (?:\w+ )?(?:balance|account)\b|\baccount (?:is|was) (?:\w+ )?(?:empty|low|negative)\b"
    r"|\b(?:account|balance|bank|card) (?:\w+ ){0,2}(?:\w+n't|not|cannot|unable to|failed to) (?:be )?cover\b"
    r"|\b(?:bank|issuer) (?:\w+ )?suspect|\bsuspect(?:ed\b|s? (?:\w+ )?(?:mis|ab)use)"
    r"|\babuse of (?:the|your) (?:\w+ )?card\b"
    r"|\b(?:unusual|irregular|unauthori[sz]ed) (?:activity|use|charges?|transactions?)\b"
    r"|\b(?:card|account) (?:\w+ ){0,3}compromised\b"
    r"|\bcard (?:is|was|has been) (?:\w+ )?(?:frozen|restricted)\b"
    r"|\bbalance (?:[\w']+ ){0,3}(?:low|empty|short|sufficient|negative)\b|\b(?:reported|as) missing\b"
    r"|\bmisused?\b|\bflagged\b|\bsufficient (?:\w+ )?(?:balance|money|credit)\b|\bcredit line\b|\bline of credit\b"
    r"|\b(?:ran|runs?|running) out of (?:money|credit|cash)\b|\bshort (?:of|on) (?:money|credit|cash)\b",
    "de": r"\bverloren|\bgestohlen|\bdiebstahl|\bbetrug|\bgesperrt|\bverdachtig|\bguthaben\b"
    r"|\b(?:konto|karten|unter)?deckung\b|\bnicht (?:ausreichend |genugend |voll )?gedeckt\b|\b(?:karten)?limits?\b"
    r"|\buberzogen|\bkontostand\b|\b(?:kredit|verfugungs)rahmen\b|\bsaldo (?:\w+ ){0,3}(?:niedrig|gering)\b"
    r"|\b(?:nicht genug(?:end)?|zu wenig|kein) geld\b|\bvermisst\b|konto (?:ist|war) (?:\w+ )?leer\b"
    r"|\b(?:geld|saldo) (?:\w+ ){0,5}(?:ge)?reicht|\bkreditlinie\b|(?<!vor )(?<!gegen )missbrauch|\bverdacht\b"
    r"|\beingefroren\b"
    r"|\b(?:im|ins) minus\b|\broten zahlen\b|\b(?:niedrig|gering|negativ)\w* (?:saldo|konto)"
    r"|\bsaldo (?:\w+ ){0,2}negativ"
    r"|\bkonto (?:\w+ ){0,2}(?:nicht (?:mehr )?(?:genug|ausreichend)|zu wenig)\b"
    r"|\b(?:nicht (?:mehr )?(?:genug|ausreichend)|zu wenig) (?:\w+ )?auf (?:dem|ihrem) (?:\w+ )?[\w-]*konto\b"
    r"|\b(?:konto|karte|saldo|bank) (?:\w+ ){0,5}nicht (?:\w+ )?(?:ab)?deck(?:en|t|te)\b",
    "es": r"\bperdid[ao]s?\b|\brobad[ao]s?\b|\brobo\b|\bfraud|\binsuficien|\bfondos\b|\bbloquead|\bsospech"
    r"|\bdescubierto\b|\b(?:sin|falta de) (?:saldo|dinero)\b|(?<!fecha )(?<!date )(?<!data )(?<!data-)\blimite\b"
    r"|\bno (?:hay|tiene|habia|tenia) (?:suficiente |bastante )?(?:dinero|saldo)\b|\b(?:dinero|saldo) suficiente\b"
    r"|\bsuficiente (?:dinero|saldo)\b|\bcuenta (?:\w+ )?vacia\b|\bsaldo (?:\w+ ){0,3}bajo\b|\bfalta(?:n|ba)? dinero\b"
    r"|\b(?:dinero|saldo) (?:no )?(?:le )?(?:alcanz|llega\b|basta)|\blinea de credito\b"
    r"|\buso (?:indebido|no autorizado)\b"
    r"|\b(?:suficiente|(?:muy|demasiado) poco) en (?:la|su) (?:cuenta|tarjeta)\b|\bnumeros rojos\b"
    r"|\bcuenta en negativo\b"
    r"|\b(?:bajo|poco|escaso) saldo\b|\bsaldo (?:\w+ ){0,3}negativo\b"
    r"|\babusos? (?:de|con) (?:la|su) (?:tarjeta|cuenta)\b"
    r"|\b(?:cuenta|tarjeta|saldo) no (?:\w+ ){0,2}cubr",
    "fr": r"\bperdue?s?\b|\bvolee?s?\b|\bfraud|\binsuffisan|\bbloquee?s?\b|\bsuspecte?s?\b(?! (?:an?|any|that)\b)"
    r"|\bplafond|\ba decouvert\b"
    r"|\b(?:sans|defaut de|manque de) provision|\bprovision insuff|\b(?:en|mise en|fait) opposition\b"
    r"|\b(?:assez|manque|sans|plus) d'argent\b|\bmanque de l'argent\b|\bapprovisionne|\bcompte (?:est |etait )?vide\b"
    r"|\bsolde (?:\w+ ){0,4}(?:faible|bas|negatif)\b|\ba court d'argent\b|\bligne de credit\b|\bfaible solde\b"
    r"|\b(?:solde|argent) (?:ne |n'a pas )suffi"
    r"|\b(?:assez|suffisamment|trop peu) (?:d'argent )?sur (?:le|votre) (?:compte|carte)\b|\bdans le rouge\b|\bsoupconn"
    r"|\b(?:usage|utilisation) (?:abusi|non autoris)|\babus (?:de|sur) (?:la|votre) (?:carte|compte)\b|\bpeu d'argent\b"
    r"|\b(?:compte|carte|solde) (?:\w+ )?(?:n'|ne )(?:\w+ ){0,3}couvr",
    "pt": r"\bperdid[ao]s?\b|\broubad[ao]s?\b|\bfurtad[ao]s?\b|\bfraud|\binsuficien|\bbloquead|\bsuspeit|\bestourad"
    r"|\b(?:sem|falta de) (?:saldo|dinheiro)\b|\b(?:dinheiro|saldo) suficiente\b|\bsuficiente (?:dinheiro|saldo)\b"
    r"|\bnao (?:ha|tem|havia|tinha) (?:dinheiro|saldo)\b|\bconta (?:\w+ )?vazia\b|\bsaldo (?:\w+ ){0,3}baixo\b"
    r"|\bfalta(?:m|va)? (?:dinheiro|saldo)\b|\blinha de credito\b|\buso (?:indevido|nao autorizado|abusivo)\b"
    r"|\b(?:suficiente|(?:muito|demasiado) pouco) n[ao] (?:sua |seu )?(?:conta|cartao)\b|\bno vermelho\b"
    r"|\b(?:baixo|pouco) saldo\b|\bsaldo (?:\w+ ){0,3}negativo\b|\bbanco (?:\w+ )?desconfia|\bsaldo nao (?:chega|basta)"
    r"|\b(?:conta|cartao|saldo) nao (?:\w+ ){0,2}cobri",
}
_SALES = {
    "en": r"\bdiscount|\boffers?\b|\bupgrad|\bdeals?\b|(?:%|per ?cent) off\b|(?<!feel )(?<!toll[- ])\bfree\b"
    r"|\bsave \S*\d|\bsavings\b|\bpromo|\bhalf[- ]price\b|\b(?:month|months|year) (?:is |are )?on us\b"
    r"|\bpay less\b|% less\b|\btry our (?:\w+ ){0,2}plans?\b"
    r"|\bswitch to (?:our|the|an?) (?:\w+ ){0,2}(?:plans?|subscriptions?)\b|\bcod(?:e|igo) [a-z]{3,}\d+\b"
    r"|\bcoupon|\bvoucher|\bbonus\b|\b(?:special|better|lower|best|reduced) price|\bon sale\b|\bcheaper\b"
    r"|\bblack friday\b|\bcyber monday\b|% reduction\b|\bprice reduction|\bfor the price of\b"
    r"|\b(?:months?|weeks?|year) as (?:a|our) gift\b"
    r"|\bpay (?:for )?(?:(?:only|just) (?:for )?\w+ months?|\w+ months only)\b"
    r"|\b(?:add|need|get|buy) (?:(?:more|extra|some|additional|\d+) )?(?:seats|licen[cs]es|storage|add-?ons)\b"
    r"|\b(?:refer|invite|tell|bring) (?:a|your) (?:\w+ )?(?:friend|colleague)"
    r"|\bearn (?:\w+ ){0,2}(?:credits?|points|rewards?|money)\b"
    r"|\b(?:go|going|try|choose|discover|get|buy|move to|switch to) (?:the |our )?(?:annual|yearly|pro|premium)\b",
    "de": r"\brabatt|angebot\b|angebote\b|\bsparen\b|\bspare\b|\bgratis\b|\bkostenlos|\bupgrad|\bgutschein|sonderpreis"
    r"|aktionspreis|\b(?:preis)?nachlass(?:es)?\b|\bbonus\b|\bpramie\b|\b(?:gunstiger|billiger)|\bhalbe[nr]? preis"
    r"|\b(?:geht|gehen) auf uns\b|\baufs haus\b|% weniger\b|\bzahlen sie weniger\b"
    r"|\btesten sie unsere[nrs]? (?:[\w-]+ )?[\w-]*(?:tarif|plan|paket)\b"
    r"|\bwechseln sie (?:\w+ )?(?:zum|zur|in|auf) (?:\w+ ){0,2}[\w-]*(?:tarif|plan|paket|abo|abonnement)\b"
    r"|\bsteigen sie (?:\w+ )?(?:auf|in) (?:\w+ ){0,2}[\w-]*(?:tarif|plan|paket|abo|abonnement)\b|\bweiterempfehl"
    r"|% reduziert"
    r"|\b(?:monate?|wochen?|jahr) geschenkt\b|\bschenken wir\b|\bwir schenken\b|\bermassig|\bpreissenkung"
    r"|\bzum preis von\b"
    r"|\b(?:buchen|fugen|holen|brauchen|kaufen) sie (?:\w+ )?(?:mehr|weitere|zusatzliche) (?:platze|lizenzen|speicher"
    r"|nutzer)"
    r"|\b(?:empfehlen sie uns|werben sie (?:\w+ ){0,2}(?:freund|kolleg|kunde|bekannt))|\bfreunde werben\b"
    r"|\b(?:sie zahlen|zahlen sie) (?:\w+ )?nur (?:fur )?\w+ monate?\b|\bwarum nicht (?:gleich )?jahrlich\b"
    r"|\b(?:holen|buchen|entdecken|wahlen) sie (?:\w+ ){0,3}(?:pro|premium)\b"
    r"|\bauf (?:\w+ )?(?:pro|premium|jahres\w+) umsteigen\b",
    "es": r"\bdescuento|\boferta|\bahorr[aeo]|\bgratis\b|\bgratuit|\bpromocion|\brebaja|\bcupon|\bupgrade"
    r"|\bmejore su plan\b|\bmas (?:barat|economic)|% menos\b|\bmitad de precio\b|\bpor nuestra cuenta\b"
    r"|\bpruebe nuestr[oa] (?:\w+ )?(?:plan|tarifa)\b"
    r"|\b(?:cambi|pas)e(?:se)? (?:\w+ )?(?:al|a la|a nuestr[oa]) (?:\w+ )?(?:plan|tarifa|suscripcion|anual)\b"
    r"|\b(?:mes|meses|semanas?|ano) de regalo\b|\bregalamos\b|\bviernes negro\b"
    r"|\b(?:contrate|descubra|elija|conozca) (?:\w+ ){0,2}(?:pro|premium)\b|% de reduccion|\bpor el precio de\b"
    r"|\b(?:anada|agregue|contrate|compre) (?:(?:mas|otr[ao]s) )?(?:licencias|puestos|usuarios|plazas|almacenamiento)\b"
    r"|\b(?:recomiende|invite) a un (?:amig|coleg)|\brecomiendenos\b|\bgane (?:\w+ )?(?:credito|puntos|dinero)"
    r"|\bpague (?:solo|solamente|unicamente) (?:por )?\w+ meses\b"
    r"|\bpor que no (?:pagar|pasar) (?:por|al|a la) (?:ano|anual)",
    "fr": r"\bremises?\b|\boffres?\b|\beconomis|\bgratuit|\bpromo|\bsoldes\b|\breductions?\b|\bbons? d.achat|\bcadeau"
    r"|\bupgrade|\bmoins cher|\bmeilleur prix\b|\brabais\b|\bofferte?s?\b|\bmoitie prix\b|% de moins\b"
    r"|\bessayez notre (?:\w+ )?(?:formule|abonnement)\b"
    r"|\bpassez (?:\w+ )?(?:au |a la |a l'|a notre )(?:\w+ )?(?:formule|abonnement|annuel)\b|\bvendredi noir\b"
    r"|\b(?:decouvrez|choisissez|prenez) (?:\w+ ){0,2}(?:pro|premium)\b"
    r"|\bajoutez (?:[\w']+ ){0,2}(?:d')?(?:places|licences|utilisateurs|postes|stockage)\b|\bparrain"
    r"|\bpour le prix de\b"
    r"|\brecommandez-nous\b|\binvitez (?:un|vos) (?:ami|collegue)|\bgagnez (?:\w+ )?(?:credit|points|argent)"
    r"|\bpayez qu(?:e |')\w+ mois\b|\bpourquoi ne pas (?:payer a l'annee|passer a l'annuel)",
    "pt": r"\bdesconto|\boferta|\beconomiz|\bgratis\b|\bgratuit|\bpromoc|\bcupo[mn]|\bupgrade|\bbrindes?\b"
    r"|\bmais (?:barat|economic)|% a menos\b|\bmetade do preco\b|\bpor nossa conta\b"
    r"|\bexperimente (?:o|nosso) (?:\w+ )?plano\b|\bpoup(?:e|a|ar|em)\b"
    r"|\b(?:mud|pass)e (?:\w+ )?para (?:o|a|nosso|nossa) (?:\w+ )?(?:plano|assinatura|anual)\b|% de reducao"
    r"|\b(?:mes|meses|semanas?|ano) de presente\b|\b(?:mes|meses|semanas?) oferecid"
    r"|\boferecemos (?:\w+ )?(?:mes|semana)|\bpelo preco de\b"
    r"|\b(?:conheca|descubra|contrate|escolha) (?:\w+ ){0,2}(?:pro|premium)\b"
    r"|\b(?:adicione|acrescente|contrate|compre) (?:mais )?(?:licencas|lugares|usuarios|utilizadores|armazenamento)\b"
    r"|\b(?:indique|convide) (?:um|uma|seus) (?:amig|coleg)|\bganhe (?:\w+ )?(?:credito|pontos|dinheiro)"
    r"|\bpague (?:so|apenas|somente) (?:por )?\w+ meses\b|\bpor que nao (?:pagar|passar) (?:por|para o) (?:ano|anual)",
}
# That a subscription's card expired, or its payment fell due, is no ending: hence what must not stand before it.
_CANCELLED = {
    "en": r"\b(?:cancell?ed|terminated|deactivated|suspended|shut down)\b|\bhas (?:been )?(?:ended|closed)\b"
    r"|(?<!will )\bno longer ha(?:ve|s) (?:\w+ )?access\b|\blost (?:your |all )?access\b"
    r"|(?<!for the )(?<!of the )(?<!for your )(?<!on your )(?<!of your )(?<!with your )(?<!in your )(?<!to your )"
    r"\b(?:subscription|plan|membership|account|access)(?: (?:is no longer active|no longer exists)\b"
    r"| (?:is|was|has been) (?:now )?(?:over|paused|locked|closed|revoked|gone|ended|expired|inactive)\b"
    r"| (?:was|has been) (?:now )?(?:removed|withdrawn|stopped|deleted|disabled|taken away"
    r"|(?:switched|turned|cut) off)\b"
    r"| (?:has )?(?:expired|ended|lapsed|stopped|ran out|c[ao]me to an end)\b)"
    r"|(?<!if you )\bare no longer (?:a |our )?(?:member|customer|subscriber)\b"
    r"|\bwe(?: have|.ve)? (?:removed|deleted|ended|closed|stopped|revoked|withdrawn|withdrew|disabled|paused) your"
    r" (?:\w+ )?(?:subscription|plan|membership|account|access)\b",
    "de": r"\bgekundigt|\bstorniert|\bbeendet\b|\bdeaktiviert|\bstillgelegt|\bausgesetzt\b|\bhaben keinen zugang mehr\b"
    r"|(?<!fur ihr )(?<!fur das )(?<!fur ihren )(?<!fur ihre )(?<!zu ihrem )(?<!zu ihrer )(?<!zum )(?<!mit ihrem )"
    r"(?<!in ihrem )(?<!auf ihrem )(?<!an ihrem )"
    r"(?:abo|abonnement|mitgliedschaft|vertrag|tarif|zugang|zugriff|konto)"
    r"(?: (?:ist nicht mehr aktiv|besteht nicht mehr)\b"
    r"| (?:ist|wurde|war) (?:(?!nicht |noch )\w+ ){0,2}(?:abgelaufen|ausgelaufen|erloschen|geendet|pausiert|vorbei"
    r"|zu ende|geschlossen|entzogen|entfernt|geloscht|gesperrt|abgeschaltet|eingestellt|gestoppt|inaktiv)\b"
    r"| (?:endete|erlosch)\b| lief (?:\w+ ){0,2}(?:aus|ab)\b)"
    r"|\b(?:haben|hat) (?:\w+ ){0,3}(?:abo|abonnement|mitgliedschaft|vertrag|tarif|zugang|zugriff|konto)"
    r" (?:(?!nicht )\w+ )?(?:geschlossen|entzogen|entfernt|geloscht|abgeschaltet|eingestellt|gestoppt|pausiert"
    r"|verloren)\b"
    r"|\bkein (?:mitglied|kunde|abonnent) mehr\b(?! sind)",
    "es": r"\bcancelad[ao]s?\b|\banulad[ao]s?\b|\bdad[ao] de baja\b|\bfinalizad[ao]s?\b|\bsuspendid[ao]s?\b"
    r"|\bya no tiene acceso\b|\b(?:perdido|perdio) (?:el |su )?acceso\b"
    r"|(?<!si )\bya no es (?:miembro|cliente|suscriptor)"
    r"|(?<!de su )(?<!de la )(?<!a su )(?<!del )(?<!en su )(?<!para su )(?:suscripcion|plan|acceso|membresia|cuenta)"
    r"(?: (?:ha )?(?:terminado|expirado|vencido|caducado|acabado|termino|expiro|vencio|caduco|acabo|llego a su fin)\b"
    r"| (?:ha sido|fue|esta|ha quedado|quedo) (?:\w+ )?"
    r"(?:retirad|eliminad|borrad|cerrad|desactivad|revocad|pausad|inactiv)| ya no (?:esta activ|existe\b))"
    r"|\bhemos (?:cerrad|retirad|eliminad|terminad|desactivad|pausad)o su (?:\w+ )?"
    r"(?:suscripcion|plan|acceso|membresia|cuenta)\b",
    "fr": r"\bresiliee?s?\b|\bannulee?s?\b|\bsuspendue?s?\b|\bdesactivee?s?\b|\ba pris fin\b"
    r"|\bn'avez plus (?:d')?acces\b|\bperdu (?:votre |l'|tout )?acces\b"
    r"|(?<!si vous )\bn'etes plus (?:membre|client|abonne)"
    r"|(?<!de votre )(?<!pour votre )(?<! a votre )(?<!sur votre )(?<!de l')"
    r"\b(?:abonnement|formule|acces|compte|adhesion)(?: n'(?:est plus acti|existe plus\b)"
    r"| (?:est|a|a ete|s'est) (?:\w+ )?(?:termine|expire|fini|cesse|echu|supprime|efface|retire|ferme|coupe|revoque"
    r"|arrete|interrompu|arrive a (?:echeance|expiration|son terme))e?\b)"
    r"|\bavons (?:ferme|supprime|retire|coupe|arrete|interrompu|mis fin a) votre (?:\w+ )?"
    r"(?:abonnement|formule|acces|compte|adhesion)\b",
    "pt": r"\bcancelad[ao]s?\b|\banulad[ao]s?\b|\bencerrad[ao]s?\b|\bsuspens[ao]s?\b|\bdesativad[ao]s?\b"
    r"|\b(?:ja nao tem|nao tem mais) acesso\b|\bperdeu (?:o |seu |o seu )?acesso\b"
    r"|(?<!se )\b(?:ja nao e|nao e mais) (?:membro|cliente|assinante)"
    r"|(?<!da sua )(?<!do seu )(?<!na sua )(?<!no seu )(?<!d[ao] a sua )(?<!para a sua )"
    r"(?:assinatura|plano|acesso|subscricao|conta)"
    r"(?: (?:acabou|terminou|expirou|venceu|caducou|chegou ao fim)\b"
    r"| (?:foi|esta|ficou) (?:\w+ )?(?:removid|apagad|retirad|fechad|revogad|desligad|cortad|pausad|inativ|eliminad)"
    r"| (?:ja nao esta|nao esta mais) ativ| (?:ja nao existe|nao existe mais)\b)"
    r"|\b(?:removemos|fechamos|retiramos|pausamos|encerramos|desligamos) (?:o seu|a sua|seu|sua) (?:\w+ )?"
    r"(?:assinatura|plano|acesso|subscricao|conta)\b",
}
_CODE = r"\b[a-z]+(?:_[a-z0-9]+)+\b"  # decline codes as Stripe writes them


def _compiled(*patterns: str) -> "re.Pattern[str]":
    return re.compile("|".join(patterns))


def with_english(patterns: dict[str, str]) -> "dict[str, re.Pattern[str]]":
    """Each language's pattern with the English one beside it: English is read in every slot."""
    return {
        language: _compiled(pattern, *([patterns[_EN]] if language != _EN else []))
        for language, pattern in patterns.items()
    }


# Whatever language a slot is for, a reason in any of the five would be read by somebody.
PRIVATE = _compiled(*_PRIVATE.values(), _CODE)
SALES = with_english(_SALES)
CANCELLED = with_english(_CANCELLED)
