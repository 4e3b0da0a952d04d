"""Plain sentences, as merchants write them, that are refused, and more that are not: an idea counts, not one wording.

The rules themselves, with line and column, are in test_lint.py.
"""

import pytest

from services.messaging.lint import Source, Target, check, check_beside, promises_again
from services.messaging.wording import Moment

PRIVATE = {
    "en": [
        "There was not enough in your account.", "The reason was a low balance.",
        "Your bank says the account could not cover the payment.", "Your balance didn't cover the amount.",
        "Your account is in the red.", "Your bank suspects abuse of the card.", "Your bank saw unusual activity.",
        "There was too little on the card.", "Your bank account was empty.", "Your card is maxed out.",
        "Your card has been frozen.", "Your account was too low.", "Your bank could not cover the amount.",
        "The account had too little money.", "The bank suspects that your card was misused.",
        "Your bank told us the balance is insufficient.", "There isn't enough on your card.",
        "The bank thinks the card is being misused.",
    ],
    "de": [
        "Ihre Bank vermutet Missbrauch.", "Ihr Konto ist im Minus.", "Auf Ihrem Konto war zu wenig.",
        "Ihr Konto konnte die Zahlung nicht decken.", "Der Grund war ein niedriger Saldo.",
        "Es war nicht genug auf Ihrem Konto.", "Ihr Konto steht in den roten Zahlen.",
        "Es gibt einen Verdacht gegen die Karte.", "Ihre Karte ist eingefroren.",
        "Auf dem Konto war nicht ausreichend Geld.", "Die Bank hat einen Verdacht.", "Ihr Bankkonto ist leer.",
        "Das Konto hatte kein Geld.", "Ihr Saldo reicht nicht aus.",
    ],
    "es": [
        "No había suficiente en su cuenta.", "El motivo fue un saldo bajo.", "El motivo fue el bajo saldo.",
        "Su cuenta no pudo cubrir el pago.", "Su cuenta está en números rojos.", "Su banco habla de un uso indebido.",
        "Había muy poco en su cuenta.", "Su saldo es negativo.", "La cuenta no cubría el importe.",
        "El banco sospecha de un abuso.", "No hay bastante dinero en la cuenta.",
    ],
    "fr": [
        "Il n’y avait pas assez sur votre compte.", "La raison était un faible solde.",
        "Votre compte n’a pas pu couvrir le paiement.", "Votre compte est dans le rouge.",
        "Votre banque soupçonne un abus.", "Votre solde est négatif.", "Il y avait trop peu sur votre compte.",
        "Le compte ne couvrait pas le paiement.", "Votre compte était vide.", "Le solde du compte était trop faible.",
        "Votre compte manque d'argent.",
    ],
    "pt": [
        "Não havia o suficiente na sua conta.", "O motivo foi o saldo baixo.", "O motivo foi um baixo saldo.",
        "A conta não conseguiu cobrir o pagamento.", "A sua conta está no vermelho.",
        "O seu banco fala de uso indevido.", "O seu saldo está negativo.", "Havia muito pouco na sua conta.",
        "O saldo da conta é baixo.", "A conta estava vazia.", "O saldo não chega.",
    ],
}  # fmt: skip
PROMISES = {
    "en": [
        "We are trying your card again tomorrow.", "A second attempt follows on Friday.",
        "Stripe tries your card on Monday.", "We keep trying for a week.", "We are charging your card on Monday.",
        "Our system attempts the payment on Friday.", "A third attempt is planned for Monday.",
        "We continue to try your card.", "More attempts follow.", "An attempt is scheduled for Friday.",
        "Stripe runs the payment on Monday.", "Stripe takes the amount on Friday.",
        "Stripe keeps attempting the payment.", "Our system will keep charging the card this week.",
        "The third try is on Sunday.", "We're going to attempt the payment on Monday.",
        "Stripe will keep at it until Friday.", "Tomorrow we run the card again.",
        "We plan a further charge for Tuesday.", "Expect the charge on Monday.",
        "Your bank will be asked again on Monday.", "Stripe is going to try the card on Monday.",
    ],
    "de": [
        "Stripe bucht am Montag ab.", "Am Montag bucht Stripe den Betrag ab.", "Stripe versucht es am Freitag.",
        "Am Freitag versucht Stripe die Zahlung.", "Ein dritter Versuch folgt.",
        "Stripe zieht den Betrag am Montag ein.", "Unser System belastet Ihre Karte am Montag.",
        "Weitere Versuche folgen.", "Ein zweiter Anlauf ist für Freitag geplant.",
        "Die Abbuchung ist für Montag geplant.", "Am Freitag zieht Stripe den Betrag ein.",
        "Ein weiterer Anlauf folgt morgen.", "Wir belasten Ihre Karte am Montag.", "Der dritte Versuch ist am Sonntag.",
        "Am Dienstag probiert es Stripe.", "Stripe wird Ihre Karte am Montag belasten.",
    ],
    "es": [
        "Stripe cobra el lunes.", "Estamos intentando el cobro con su tarjeta.", "Seguimos intentándolo una semana.",
        "Stripe intenta el pago el lunes.", "Habrá un tercer intento.", "Una segunda tentativa tendrá lugar el lunes.",
        "Hay más intentos previstos.", "Probaremos su tarjeta el lunes.", "Stripe cargará el importe el viernes.",
        "Seguiremos probando con su tarjeta.", "El segundo intento será el viernes.",
        "Stripe probará su tarjeta mañana.", "Cobraremos el viernes.", "El sistema lo intenta cada día.",
    ],
    "fr": [
        "Une seconde tentative aura lieu lundi.", "Une deuxième tentative suit vendredi.",
        "Stripe essaie votre carte lundi.", "Stripe prélève le montant lundi.", "Nous essayons votre carte demain.",
        "Nous continuons d’essayer pendant une semaine.", "Un troisième essai est prévu.",
        "Nous débitons votre carte vendredi.", "D’autres tentatives suivront.", "Stripe débitera votre carte vendredi.",
        "La troisième tentative est prévue dimanche.", "Nous continuerons à présenter le paiement.",
        "Le système tente le paiement chaque jour.", "Stripe présentera votre carte lundi.",
    ],
    "pt": [
        "Uma terceira tentativa acontece na segunda-feira.", "Stripe cobra na segunda-feira.",
        "A Stripe tenta o seu cartão na segunda-feira.", "Continuamos tentando por uma semana.",
        "Estamos a tentar o pagamento com o seu cartão.", "Continuaremos a tentar.", "Haverá mais tentativas.",
        "O Stripe debita o valor amanhã.", "A Stripe vai tentar o pagamento amanhã.",
        "A segunda tentativa será na sexta.", "Seguimos tentando com o seu cartão.",
        "O sistema tenta o pagamento todos os dias.",
    ],
}  # fmt: skip
ENDINGS = {
    "en": [
        "Your subscription ended yesterday.", "Your access has been removed.", "We removed your access.",
        "Your membership lapsed.", "Your plan was stopped.", "Your access is gone.",
        "Your subscription has come to an end.", "Your plan is no longer active.", "You have lost your access.",
        "Your subscription has expired.", "We have stopped your plan.", "Your access was switched off.",
        "Your membership is over since Monday.", "Access to your workspace has ended.", "We've closed your account.",
        "Your plan ran out last week.", "Your access was taken away.", "Your account was deleted.",
        "You are no longer a member.",
    ],
    "de": [
        "Ihr Abo ist ausgelaufen.", "Ihr Abo endete gestern.", "Ihr Zugang wurde entfernt.",
        "Wir haben Ihren Zugang geschlossen.", "Ihre Mitgliedschaft ist erloschen.", "Ihr Abo lief gestern aus.",
        "Ihr Tarif ist nicht mehr aktiv.", "Sie haben Ihren Zugang verloren.", "Ihr Zugang wurde Ihnen entzogen.",
        "Ihr Konto wurde geschlossen.", "Ihr Zugang ist geschlossen.", "Wir haben Ihr Konto pausiert.",
        "Ihr Vertrag ist gestern ausgelaufen.", "Ihr Abonnement endete am Montag.", "Ihr Zugang besteht nicht mehr.",
        "Ihr Abo ist zu Ende gegangen.",
    ],
    "es": [
        "Su acceso ha sido retirado.", "Su suscripción acabó ayer.", "Hemos cerrado su cuenta.",
        "Su acceso fue eliminado.", "Su plan ya no está activo.", "Ha perdido el acceso.",
        "Su suscripción llegó a su fin.", "Su suscripción ha caducado.", "Su plan expiró ayer.",
        "Hemos eliminado su acceso.", "Su acceso está cerrado.",
    ],
    "fr": [
        "Votre accès a été supprimé.", "Votre abonnement s’est terminé hier.", "Nous avons fermé votre compte.",
        "Votre abonnement n’est plus actif.", "Vous avez perdu votre accès.", "Votre abonnement est arrivé à échéance.",
        "Nous avons mis fin à votre abonnement.", "Votre abonnement a cessé.", "Votre abonnement a expiré hier.",
        "Votre accès est coupé.", "Votre formule est terminée.",
    ],
    "pt": [
        "O seu acesso foi removido.", "O seu plano acabou ontem.", "Fechamos a sua conta.",
        "A sua assinatura já não está ativa.", "A sua assinatura não está mais ativa.", "Você perdeu o acesso.",
        "A sua assinatura chegou ao fim.", "Removemos o seu acesso.", "O seu plano expirou.",
        "A sua conta foi fechada.", "A sua conta está desligada.",
    ],
}  # fmt: skip
SALES = {
    "en": [
        "Add seats to your plan today.", "Refer a friend and earn credit.", "Black Friday: 30 % reduction.",
        "Why not go annual and pay for ten months only?", "Invite a friend.", "Need more storage?",
        "Pay for only ten months.", "Two years for the price of one.", "Two months as a gift.", "Cyber Monday is here.",
        "Why not go yearly?", "Get more seats for your team.", "Bring a friend and both of you save 10 euros.",
        "Switch to yearly billing.", "Three months as our gift.", "Upgrade for just 5 euros more.",
        "Tell a friend and get a reward.",
    ],
    "de": [
        "Jetzt zwei Monate geschenkt.", "Fügen Sie weitere Plätze hinzu.", "Empfehlen Sie uns weiter.",
        "Werben Sie einen Freund.", "30 % Ermäßigung.", "Warum nicht jährlich zahlen?", "Sie zahlen nur zehn Monate.",
        "Zwölf Monate zum Preis von zehn.", "Steigen Sie auf den Jahrestarif um.", "Buchen Sie mehr Lizenzen dazu.",
        "Wir schenken Ihnen zwei Monate.", "Buchen Sie weitere Plätze dazu.", "Empfehlen Sie uns einem Freund.",
        "Black Friday bei uns.", "Holen Sie sich das Premium-Paket.", "Jetzt auf Pro umsteigen.",
    ],
    "es": [
        "Dos meses de regalo.", "Añada más licencias a su plan.", "Recomiende a un amigo y gane crédito.",
        "Viernes negro: 30 % de reducción.", "Pásese al plan anual.", "Pague solo diez meses.",
        "Doce meses por el precio de diez.", "¿Por qué no pagar por año?", "Le regalamos dos meses.",
        "Invite a un amigo.", "Contrate el plan premium.",
    ],
    "fr": [
        "Deux mois en cadeau.", "Ajoutez des utilisateurs à votre formule.", "Parrainez un ami.",
        "Recommandez-nous à un ami.", "Vendredi noir : le grand moment.", "Passez à l’annuel.",
        "Ne payez que dix mois.", "Douze mois pour le prix de dix.", "Pourquoi ne pas payer à l’année ?",
        "Invitez un ami.", "Deux mois offerts.", "Découvrez notre formule premium.",
    ],
    "pt": [
        "Dois meses de presente.", "Adicione usuários ao seu plano.", "Indique um amigo e ganhe crédito.",
        "30 % de redução no preço.", "Passe para o anual.", "Pague apenas dez meses.", "Doze meses pelo preço de dez.",
        "Por que não pagar por ano?", "Convide um amigo.", "Oferecemos dois meses.", "Conheça o plano premium.",
    ],
}  # fmt: skip
# Merchants' own words that name, promise, end and sell nothing, on the last message of all.
FINE = {
    "en": [
        "Your subscription stays active until Friday.", "You can add a new card with one click.",
        "If the payment does not arrive, access ends on 3 March.", "We could not collect your payment.",
        "We tried your card twice.", "Your card has expired.", "The card for your subscription expired in May.",
        "The card on your account has expired.", "Your subscription has not ended.",
        "Your access will be removed on 3 March if nothing is paid.", "Nothing on your account has changed.",
        "Use another card to cover the open amount.", "We are trying to reach you about your payment.",
        "Our second attempt failed as well.", "We will not try your card again.", "We won't charge your card again.",
        "No further attempts will be made.", "There will be no further attempt.",
        "The payment for your annual plan is open.", "If you suspect an error, please write to us.",
        "Please keep the card you pay with at hand.", "Please refer to invoice 42 when you write.",
        "You keep your data, your seats and your settings.", "Your credit card may need a new number.",
        "We are sorry for the trouble and glad to help.", "Your bank did not say why.",
        "Stripe takes care of the payment page.", "Your plan will end on 3 March unless it is paid.",
        "A credit note follows by post.", "You can pay monthly or yearly, as before.", "You can try another card.",
        "Your account manager is Anna.", "Your payment of 20 EUR from 3 March is still open.",
        "We tried to collect the payment on 3 March and it did not go through.",
        "Nothing else changes: your plan and your data stay as they are.", "To keep your access, please pay by Friday.",
        "This is our last message about it.", "Your account stays open until the end of the month.",
        "If you want to end your subscription, just reply.", "You can also pay by bank transfer.",
        "Please check that the card is still valid.", "Your bank asks you to confirm the payment.",
        "Did you get a new card? Add it in a minute.", "Without a payment, your plan ends on Friday.",
        "We have not heard from you yet.", "Your invoice was closed by mistake; we are sorry.",
        "Our team answers within a day.", "If you have already paid, please ignore this message.",
        "Your subscription renews every month.", "You can download your data at any time.",
        "Sorry for writing a third time.", "It takes two minutes and works on your phone.",
        "We know that cards get replaced from time to time.", "The next payment is due in April.",
        "We continue to keep your data safe.", "We take this seriously.", "Your account is in good hands.",
        "Stripe takes the security of your card seriously.", "We run the platform for you.",
        "We repeat the payment details below.", "After a second attempt, the payment is still open.",
        "Your data was never compromised.", "The payment for your subscription was stopped by the bank.",
        "There is enough room in your account.", "We try to answer within a day.",
        "If you are no longer a customer, please ignore this.", "Your Premium plan stays as it is.",
        "You can expect no charge.",
    ],
    "de": [
        "Ihr Abo bleibt bis Freitag aktiv.", "Sie können mit einem Klick eine neue Karte hinzufügen.",
        "Wenn die Zahlung nicht eingeht, endet Ihr Zugang am 3. März.", "Wir konnten den Betrag nicht einziehen.",
        "Die Karte für Ihr Abo ist abgelaufen.", "Ihr Abo ist nicht ausgelaufen.",
        "Ihr Zugang wird am 3. März geschlossen, wenn nichts eingeht.", "In Ihrem Konto ändert sich nichts.",
        "Wir werden Sie nicht mehr anschreiben.", "Wir buchen nichts mehr ab.", "Es folgt kein weiterer Versuch.",
        "Ihre Karte wird nicht erneut belastet.", "Die Zahlung für Ihr Jahresabo ist offen.",
        "Wir empfehlen Ihnen eine andere Karte.", "Ihre Bank nennt uns keinen Grund.",
        "Stripe betreibt die Zahlungsseite.", "Ihre Daten und Plätze bleiben Ihnen erhalten.",
        "Ein zweiter Blick lohnt sich.", "Ihre Zahlung vom 3. März ist noch offen.",
        "Wir haben versucht, den Betrag einzuziehen.", "Ohne Zahlung endet Ihr Zugang am Freitag.",
        "Ihre Bank bittet Sie um eine Bestätigung.", "Wenn Sie schon gezahlt haben, ist nichts zu tun.",
        "Sie können auch überweisen.", "Ihr Tarif und Ihre Daten bleiben, wie sie sind.",
        "Bitte prüfen Sie, ob die Karte noch gültig ist.", "Dies ist unsere letzte Nachricht dazu.",
        "Ihr Zugang bleibt noch eine Woche offen.", "Wenn Sie das Abo beenden möchten, antworten Sie einfach.",
        "Wir helfen Ihnen gern.", "Die Zahlung kam nicht zustande.", "Das ist kein Versuch, Ihnen etwas zu verkaufen.",
        "Ihr Konto bei uns bleibt bestehen.", "Der Link gilt sieben Tage, zum Schutz vor Missbrauch.",
        "Nach dem zweiten Versuch ist die Zahlung noch offen.", "Die Karte auf Ihrem Konto ist abgelaufen.",
        "Die Karte für Ihre Mitgliedschaft ist abgelaufen.", "Unser System hat die Zahlung nicht erhalten.",
        "Ein Klick in Ihrem Konto reicht.", "Wenn Sie kein Kunde mehr sind, ist nichts zu tun.",
        "Ihr Premium-Paket bleibt, wie es ist.",
    ],
    "es": [
        "Su suscripción sigue activa hasta el viernes.", "Puede añadir otra tarjeta con un clic.",
        "Si el pago no llega, el acceso termina el 3 de marzo.", "No pudimos cobrar su pago.",
        "Intentamos cobrar su cuota y no fue posible.", "El pago de su suscripción venció el 3 de marzo.",
        "La tarjeta de su suscripción ha caducado.", "Su suscripción no ha terminado.", "No volveremos a intentarlo.",
        "No habrá otro intento.", "El pago de su plan anual está pendiente.", "En su cuenta no cambia nada.",
        "Su banco no nos dice el motivo.", "Su pago del 3 de marzo sigue abierto.",
        "Sin el pago, su acceso termina el viernes.", "Este es nuestro último mensaje.",
        "Su banco le pide una confirmación.", "También puede pagar por transferencia.",
        "Si ya ha pagado, no tiene que hacer nada.", "Sus datos y su plan siguen igual.", "Seguimos a su disposición.",
        "Tras el segundo intento, el pago sigue abierto.", "La tarjeta en su cuenta ha caducado.",
        "Si ya no es cliente, ignore este mensaje.", "Su plan premium sigue igual.",
    ],
    "fr": [
        "Votre abonnement reste actif jusqu’à vendredi.", "Vous pouvez ajouter une carte en un clic.",
        "Si le paiement n’arrive pas, l’accès prend fin le 3 mars.", "Nous n’avons pas pu encaisser votre paiement.",
        "La carte de votre abonnement a expiré.", "La carte associée à votre abonnement est expirée.",
        "Votre abonnement n’est pas terminé.", "Nous ne réessaierons pas.", "Il n’y aura pas d’autre tentative.",
        "Le paiement de votre formule annuelle est ouvert.", "Nous essayons de vous joindre.",
        "Votre banque ne nous dit pas pourquoi.", "Rien ne change sur votre compte.",
        "Votre paiement du 3 mars est encore ouvert.", "Sans paiement, votre accès prend fin vendredi.",
        "Ceci est notre dernier message.", "Votre banque vous demande une confirmation.",
        "Vous pouvez aussi payer par virement.", "Si vous avez déjà payé, ignorez ce message.",
        "Nous continuons à garder vos données.", "Nous restons à votre écoute.",
        "Après la deuxième tentative, le paiement est encore ouvert.",
        "La carte enregistrée sur votre compte a expiré.", "Votre compte est ouvert et vos données y sont.",
        "Si vous n’êtes plus client, ignorez ce message.", "Votre formule premium reste la même.",
    ],
    "pt": [
        "A sua assinatura continua ativa até sexta-feira.", "Você pode adicionar outro cartão com um clique.",
        "Se o pagamento não chegar, o acesso termina em 3 de março.", "Não conseguimos cobrar o seu pagamento.",
        "O cartão da sua assinatura expirou.", "O cartão associado à sua assinatura venceu.",
        "O pagamento da sua assinatura venceu em 3 de março.", "A sua assinatura não terminou.",
        "Não tentaremos novamente.", "Não haverá outra tentativa.", "O pagamento do seu plano anual está em aberto.",
        "Na sua conta não muda nada.", "O seu banco não nos diz o motivo.",
        "O seu pagamento de 3 de março está em aberto.", "Sem o pagamento, o seu acesso termina na sexta-feira.",
        "Esta é a nossa última mensagem.", "O seu banco pede uma confirmação.",
        "Você também pode pagar por transferência.", "Se já pagou, não é preciso fazer nada.",
        "Continuamos à sua disposição.", "Os seus dados ficam como estão.",
        "Após a segunda tentativa, o pagamento está em aberto.", "Se já não é cliente, ignore esta mensagem.",
        "O seu plano premium continua igual.",
    ],
}  # fmt: skip
# No attempt first, and then one.
BOTH = {
    "en": [
        "We do not charge now but try again on Friday.", "Do not worry, we will try again.",
    ],
    "de": [
        "Wir werden nicht aufgeben und es erneut versuchen.",
        "Wir buchen heute nichts ab, aber am Montag versuchen wir es.",
    ],
    "es": [
        "No cobraremos hoy, pero volveremos a intentarlo.",
    ],
    "fr": [
        "Nous ne débitons pas aujourd’hui mais nous réessaierons.",
    ],
    "pt": [
        "Não cobraremos hoje, mas tentaremos novamente.",
    ],
}  # fmt: skip


def each(said: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(language, text) for language, texts in said.items() for text in texts]


def codes(said: str, language: str, moment: Moment = Moment.LAST) -> set[str]:
    source = Source("x", "x", said, "x").normalised()
    return {problem.code for problem in check(source, Target("funds", moment, "email", language))}


@pytest.mark.parametrize(("language", "said"), each(PRIVATE))
def test_a_private_reason_in_plain_words(language: str, said: str) -> None:
    assert "private_reason" in codes(said, language, Moment.FIRST)
    assert check_beside(said)


@pytest.mark.parametrize(("language", "said"), each(PROMISES) + each(BOTH))
def test_another_charge_promised_in_plain_words(language: str, said: str) -> None:
    assert "promise" in codes(said, language)
    assert codes(said, language, Moment.FIRST) == set()
    assert promises_again(Source("x", "x", said, "x"), Target("funds", Moment.LAST, "email", language))


@pytest.mark.parametrize(("language", "said"), each(ENDINGS))
def test_an_ending_that_has_not_happened_in_plain_words(language: str, said: str) -> None:
    assert "cancelled" in codes(said, language, Moment.FIRST)


@pytest.mark.parametrize(("language", "said"), each(SALES))
def test_a_sale_in_plain_words(language: str, said: str) -> None:
    assert "sales" in codes(said, language, Moment.FIRST)


@pytest.mark.parametrize(("language", "said"), each(FINE))
def test_what_merchants_plainly_say_may_be_saved(language: str, said: str) -> None:
    assert codes(said, language) == set()
    assert not promises_again(Source("x", "x", said, "x"), Target("funds", Moment.LAST, "email", language))
    assert check_beside(said) == ()  # read in all five languages
