"""Invented people, companies and addresses in several languages, some odd on purpose, none real.

Addresses are at the domains RFC 2606 keeps for examples, so nothing that escapes the sandbox reaches anybody.
"""

import re
import unicodedata

from sandbox.population.draws import Draws

# country -> given names, family names; ASCII where a name is written so on invoices
_PEOPLE: dict[str, tuple[str, str]] = {
    "us": ("Averill Briony Calder Delphine Emmett Farrah Gideon Hollis Imani Jorah", "Ashgrove Bellwether Crane "
           "Dunmoor Everly Foxworth Garrick Halloway Ironside Juniper"),
    "gb": ("Alasdair Bronwen Cerys Dougal Elspeth Fergus Gwendolyn Hamish Isolde Kit", "Applewhite Birtwhistle "
           "Copperthwaite Dalrymple Etherington Featherstone Greatorex O'Dare Hetherwick Loxley"),
    "de": ("Anneliese Björn Cordula Detlef Edeltraut Folker Gisela Henning Jörg Käthe", "Ackerstolz Brückner-Holm "
           "Dünenthal Eichenlaub Fährmann Größner Hübschle Jägerhof Käferstein Löwenzahn"),
    "fr": ("Aurélie Benoît Cécile Désiré Éloïse Fabrice Gwenaëlle Hélène Joël Maïwenn", "d'Aubépine Beauchêne "
           "Clairefontaine Dufrêne Étang Fauvelle Grandpré L'Hermine Montclair Noisetier"),
    "es": ("Águeda Begoña Cayetana Damián Encarna Fermín Íñigo Lucía Nuño Rocío", "Altamonte Buenrostro Cañizal "
           "Dueñas Encinar Fuenlabrada Guijarro Peñafiel Riosoto Zarzuela"),
    "br": ("Adenílson Berenice Caetana Davi Estêvão Graça Ítalo Joaquina Luísa Otávio", "Amendoeira Bragança "
           "Caldeirão Figueirinha Laranjal Moçambico Pitangueira Sertão Tavarinho Videira"),
    "jp": ("Akemi Botan Chihiro Daiki Emiko Fumio Haruna Isamu Kaede Minori", "Aomori Fujisaka Hanamoto Ishibara "
           "Kazehaya Minazuki Okugawa Shirakaba Tsukimori Yamabuki"),
    "kw": ("Abeer Badr Dalal Fahad Hessa Jassim Latifa Mishal Nouf Sabah", "Al-Barrak Al-Durra Al-Faisaliya Al-Ghanima "
           "Al-Hilali Al-Marzooqa Al-Nakhla Al-Rimal Al-Sahel Al-Zahra"),
    "in": ("Aarohi Bhavin Chitra Devansh Esha Falguni Gautami Harshil Ishaan Jhanvi", "Amrapali Barkatwala "
           "Chandrakosh Devgiri Gulmohar Haldikar Kesarwani Meghwal Neelkanth Suryavan"),
    "ca": ("Amélie Brock Chantal Dashiell Élodie Finnley Gaétan Harlow Isaure Kieran", "Beaulac Cedarholm Driftwood "
           "Érablière Frostvale Lachance-Ruel Maplethorpe Northcote Rivière Sapin"),
    "au": ("Arley Banksia Corbin Darcy Elowen Flynn Gumnut Halle Indi Jarrah", "Billabong Coolibah Dunewick "
           "Eucalypt Ferngully Goldacre Kurrawa Lilypilly Wattleton Yarrabee"),
    "nl": ("Anouk Bram Cato Daan Eefje Floris Geertje Hidde IJsbrand Jorinde", "van den Akkerdijk Bloemhof "
           "de Grutto Hazelaar van 't Hoogeland Kievitsbloem Molenwiek Rietveen Zonnedauw Wilgenrijs"),
}  # fmt: skip
_FORMS = {
    "us": "Inc.", "gb": "Ltd", "de": "GmbH", "fr": "SARL", "es": "S.L.", "br": "Ltda.", "jp": "K.K.", "kw": "W.L.L.",
    "in": "Pvt. Ltd.", "ca": "Inc.", "au": "Pty Ltd", "nl": "B.V.",
}  # fmt: skip
_WORDS = (
    "Quillfeather", "Tidewater", "Lanternfish", "Marrowbone", "Copperkettle", "Birdsfoot", "Saltmarsh", "Umbra",
    "Velvetine", "Wickerwork", "Zephyrine", "Mothlight", "Pebblebank", "Thistledown", "Glasshouse", "Orrery",
    "Candlewick", "Foxglove", "Driftglass", "Sundial",
)  # fmt: skip
_TRADES = ("Labs", "Studio", "Logistics", "Analytics", "Foods", "Robotics", "Clinics", "Press", "Works", "Media")
# Legal and hostile: escaping is tested by living with them.
_HTML_NAMES = (
    "<b>Bold</b> & Sons",
    "<script>alert('hello')</script> Bakery",
    'Ada "Quote" O\'Neil <ada@example.org>',
    "Fish &amp; Chips <3",
    "</title><h1>Heading Holdings</h1>",
    "{{ 7 * 7 }} Templates",
    "\u202egnitseT \u202c Mirror Works",
)
_ODD_LOCALS = (
    "{name}+billing", "o'{name}", "{name}/accounts=payable", "!{name}%invoices", "{name}_-_x", "#{name}", "{{{name}}}",
    "{name}=cfo", "$a12345.{name}", "{name}~ops", "*{name}*", "{name}?pay",
)  # fmt: skip
_DOMAINS = ("example.com", "example.org", "example.net")


def full_name(draws: Draws, country: str) -> str:
    """A person's name, or (every third time) a company's."""
    if draws.chance(0.022, "html"):
        return draws.pick(_HTML_NAMES, "html name")
    if draws.chance(0.34, "company"):
        return f"{draws.pick(_WORDS, 'word')} {draws.pick(_TRADES, 'trade')} {_FORMS[country]}"
    given, family = _PEOPLE[country]
    return f"{draws.pick(given.split(), 'given')} {draws.pick(_families(family), 'family')}"


def _families(text: str) -> list[str]:
    """Family names; small words belong to the name they precede (`van den Akkerdijk`)."""
    found: list[str] = []
    open_name = ""
    for word in text.split():
        open_name = f"{open_name} {word}".strip()
        if any(letter.isupper() for letter in word):
            found.append(open_name)
            open_name = ""
    return found


def email(draws: Draws, name: str, index: int) -> str:
    """An address of this person alone (the index is in it), one in eight odd but legal (RFC 5322, section 3.2.3)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z]+", plain)[:2] or ["customer"]
    base = draws.pick((".", "_", "-", ""), "joint").join(words)
    local = f"{base}{index}"
    if draws.chance(0.12, "odd"):
        local = draws.pick(_ODD_LOCALS, "odd local").format(name=local)
    host = draws.pick(_DOMAINS, "domain")
    if draws.chance(0.2, "subdomain"):
        host = f"{draws.pick(('mail', 'post', 'correo', 'eu-1', 'xn--bcher-kva'), 'host')}.{host}"
    return f"{local}@{host}"
