"""What 1,000 US dollars are, roughly, in each currency that Stripe charges in: lines, not exchange rates. Pure.

From there on a person decides, unless the merchant drew a line of its own. A line of the wrong size would be worse
than none: with one that is far too low PHANTOM would write to nobody and ask a person about every ghost. So a
currency that is not named here has none.
"""

from core.money import exponent

_MAJOR = {
    "aed": 3_700, "afn": 70_000, "all": 85_000, "amd": 385_000, "ang": 1_800, "aoa": 915_000, "ars": 1_400_000,
    "aud": 1_500, "awg": 1_800, "azn": 1_700, "bam": 1_700, "bbd": 2_000, "bdt": 120_000, "bgn": 1_700, "bhd": 380,
    "bif": 2_950_000, "bmd": 1_000, "bnd": 1_300, "bob": 6_900, "brl": 5_500, "bsd": 1_000, "bwp": 13_500, "byn": 3_000,
    "bzd": 2_000, "cad": 1_400, "cdf": 2_400_000, "chf": 900, "clp": 950_000, "cny": 7_200, "cop": 4_000_000,
    "crc": 500_000, "cve": 97_000, "czk": 23_000, "djf": 178_000, "dkk": 7_000, "dop": 62_000, "dzd": 130_000,
    "egp": 49_000, "etb": 145_000, "eur": 1_000, "fjd": 2_300, "fkp": 800, "gbp": 800, "gel": 2_700, "ghs": 11_000,
    "gip": 800, "gmd": 72_000, "gnf": 8_700_000, "gtq": 7_700, "gyd": 209_000, "hkd": 7_800, "hnl": 26_000,
    "htg": 131_000, "huf": 380_000, "idr": 16_500_000, "ils": 3_500, "inr": 85_000, "isk": 125_000, "jmd": 160_000,
    "jod": 700, "jpy": 150_000, "kes": 129_000, "kgs": 87_000, "khr": 4_000_000, "kmf": 430_000, "krw": 1_400_000,
    "kwd": 300, "kyd": 830, "kzt": 520_000, "lak": 21_700_000, "lbp": 89_500_000, "lkr": 300_000, "lrd": 190_000,
    "lsl": 17_500, "mad": 9_500, "mdl": 17_000, "mga": 4_500_000, "mkd": 54_000, "mmk": 2_100_000, "mnt": 3_550_000,
    "mop": 8_000, "mur": 45_500, "mvr": 15_400, "mwk": 1_735_000, "mxn": 18_000, "myr": 4_200, "mzn": 64_000,
    "nad": 17_500, "ngn": 1_500_000, "nio": 36_700, "nok": 11_000, "npr": 137_000, "nzd": 1_600, "omr": 385,
    "pab": 1_000, "pen": 3_500, "pgk": 4_200, "php": 57_000, "pkr": 282_000, "pln": 4_000, "pyg": 7_300_000,
    "qar": 3_640, "ron": 4_400, "rsd": 102_000, "rub": 85_000, "rwf": 1_440_000, "sar": 3_750, "sbd": 8_300,
    "scr": 14_000, "sek": 10_500, "sgd": 1_300, "shp": 800, "sle": 23_000, "sos": 571_000, "srd": 38_000,
    "std": 22_000_000, "szl": 17_500, "thb": 33_000, "tjs": 9_500, "tnd": 3_100, "top": 2_400, "try": 41_000,
    "ttd": 6_800, "twd": 31_000, "tzs": 2_500_000, "uah": 41_500, "ugx": 3_600_000, "usd": 1_000, "uyu": 40_000,
    "uzs": 12_300_000, "vnd": 25_000_000, "vuv": 119_000, "wst": 2_750, "xaf": 570_000, "xcd": 2_700, "xcg": 1_800,
    "xof": 570_000, "xpf": 104_000, "yer": 240_000, "zar": 18_000, "zmw": 24_000,
}  # fmt: skip


def usual_line(currency: str) -> int | None:
    """1,000.00 USD or its like in minor units of `currency` (lower-case); None where that is not known."""
    major = _MAJOR.get(currency)
    return None if major is None else major * 10 ** exponent(currency)
