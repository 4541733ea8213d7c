"""Text of others, for a terminal or a line of a log."""


def clean(text: str) -> str:
    """The text, with escapes for what a terminal would obey or not show: control characters, line
    breaks, those that turn the direction of writing, and those without a width."""
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else repr(each)[1:-1] for each in text])


def clean_lines(text: str) -> str:
    """Several lines, each so."""
    return "\n".join(map(clean, text.split("\n")))
