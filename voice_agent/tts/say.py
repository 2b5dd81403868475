"""Numbers, prices, times and dates in English words, as a person would say them."""

from __future__ import annotations

from num2words import num2words

MONTHS = (
    "January February March April May June July August September October November December"
).split()
# symbol: (one, many, one hundredth, many hundredths)
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}


def cardinal(number: str, language: str = "en") -> str:
    """Say a written number: "1,250" or "12.50" or "007"; very long ones digit by digit.

    Returns the number as it is in a language that num2words does not know.
    """
    whole, _, fraction = number.replace(",", "").partition(".")
    try:
        if (len(whole) > 1 and whole.startswith("0")) or len(whole) > 12:
            words = digits(whole, language)
        else:
            words = str(num2words(int(whole), lang=language))
        if fraction:
            point = "point" if language.startswith("en") else ","
            words += f" {point} {digits(fraction, language)}"
    except NotImplementedError:
        return number
    # "one hundred and five, two" has commas where nobody pauses.
    return words.replace(",", "")


def digits(number: str, language: str = "en") -> str:
    """Say every digit on its own and leave out what is none."""
    return " ".join(str(num2words(int(char), lang=language)) for char in number if char in _DIGITS)


_DIGITS = frozenset("0123456789")


def ordinal(number: int) -> str:
    """Say 21 as "twenty-first"."""
    return str(num2words(number, to="ordinal")).replace(",", "")


def year(number: int) -> str:
    """Say 2026 as "twenty twenty-six"."""
    return str(num2words(number, to="year"))


def clock(hour: int, minute: int, half: str = "") -> str:
    """Say a time of day; ``half`` is "a" or "p" where the text says so."""
    if minute:
        words = f"{num2words(hour)} {'oh ' if minute < 10 else ''}{num2words(minute)}"
    elif half:
        words = str(num2words(hour))
    else:
        words = f"{num2words(hour)} o'clock" if 1 <= hour <= 12 else f"{num2words(hour)} hundred"
    return f"{words} {half} m" if half else words


def date(month: int, day: int, in_year: int | None = None) -> str | None:
    """Say a calendar date; None if there is no such day."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    words = f"{MONTHS[month - 1]} {ordinal(day)}"
    return f"{words}, {year(in_year)}" if in_year else words


def price(symbol: str, whole: str, hundredths: str = "", scale: str = "") -> str:
    """Say an amount of money; ``scale`` is a word such as "million"."""
    one, many, one_cent, many_cents = CURRENCIES[symbol]
    if scale:
        amount = cardinal(f"{whole}.{hundredths}" if hundredths else whole)
        return f"{amount} {scale} {many}"
    plain = whole.replace(",", "")
    cents = int(hundredths.ljust(2, "0")) if hundredths and one_cent else 0
    minor = f"{num2words(cents)} {one_cent if cents == 1 else many_cents}"
    if cents and not int(plain):
        return minor
    words = f"{cardinal(str(int(plain)))} {one if int(plain) == 1 else many}"
    return f"{words} and {minor}" if cents else words
