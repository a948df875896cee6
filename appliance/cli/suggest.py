"""What ``?`` lists and Tab inserts. No terminal in here."""

import os
from collections.abc import Sequence

from appliance.cli.face import Suggestion

NO_HELP = "Nothing that is known can follow"
END_OF_LINE = "<cr>"
SECRETS = ("password", "secret", "authorized-key", "community")


def is_literal(text: str) -> bool:
    """Whether ``?`` after this text is a character: inside quotes, and in the pattern of a pipe."""
    quote = ""
    pipe = False
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "|":
            pipe = True
    return bool(quote) or (pipe and len(text.rpartition("|")[2].split()) + text[-1].isspace() > 1)


def help_lines(found: Sequence[Suggestion]) -> list[str]:
    """One line for each suggestion: the text, and its help in a column of its own; ``<cr>`` last."""
    if not found:
        return [NO_HELP]
    width = max(len(each.text) for each in found)
    return [
        f"  {each.text.ljust(width)}  {each.help}".rstrip()
        for each in sorted(found, key=lambda each: each.text == END_OF_LINE)
    ]


def completion(text: str, found: Sequence[Suggestion]) -> tuple[int, str]:
    """What Tab does after ``text``: characters to take away before the cursor, and what comes instead.

    ``(0, "")`` when there is nothing that can be added.
    """
    typed = "" if not text or text[-1].isspace() else text.split()[-1]
    words = [each.text for each in found if each.word]
    if not words:
        return 0, ""
    if len(words) == 1:
        # As in a shell: the space after a word comes with it as soon as there is no other choice.
        return len(typed), f"{words[0]} "
    common = os.path.commonprefix(words)
    return (len(typed), common) if len(common) > len(typed) else (0, "")


def columns(found: Sequence[Suggestion], width: int) -> list[str]:
    """The texts of suggestions in columns, as a shell lists them."""
    texts = [each.text for each in found]
    widest = max(map(len, texts), default=0) + 2
    across = max(1, width // widest)
    return ["".join(each.ljust(widest) for each in texts[at : at + across]).rstrip()
            for at in range(0, len(texts), across)]  # fmt: skip


def holds_secret(line: str) -> bool:
    """Whether a line names something secret, so that it must not be kept."""
    return any(word.lower().startswith(SECRETS) or word.lower().endswith("password") for word in line.split())
