"""What Tab inserts and lists. No terminal in here."""

import os
from collections.abc import Sequence

from appliance.cli.match import Candidate


def completion(text: str, found: Sequence[Candidate]) -> tuple[int, str]:
    """What Tab does after ``text``: characters to take away before the cursor, and what comes instead.

    ``(0, "")`` when there is nothing that can be added.
    """
    typed = "" if not text or text[-1].isspace() else text.split()[-1]
    words = [each.text for each in found if each.word]
    if len(words) == 1:
        # As in a shell: the space after a word comes with it as soon as there is no other choice.
        return len(typed), f"{words[0]} "
    common = os.path.commonprefix(words)
    return (len(typed), common) if len(common) > len(typed) else (0, "")


def columns(found: Sequence[Candidate], width: int) -> list[str]:
    """The texts of candidates in columns, as a shell lists them; ``width``: columns of the terminal."""
    texts = [each.text for each in found]
    widest = max(map(len, texts), default=0) + 2
    across = max(1, width // widest)
    return [
        "".join(text.ljust(widest) for text in texts[at : at + across]).rstrip()
        for at in range(0, len(texts), across)
    ]
