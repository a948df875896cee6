"""``appliance cli`` for a person: a prompt with Tab and ``?``, and output a page at a time.

::

    keys ─▶ PromptSession ─ Tab, ? ─▶ candidates     line ─▶ execute ─▶ Pager ─ --More-- ─▶ keys
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from shutil import get_terminal_size

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.shortcuts import CompleteStyle

from appliance.cli.client import AttachError, Connection

MORE = "--More--"
NO_HELP = "Nothing that is known can follow"


class _Completer(Completer):
    """Asks the appliance what may come next."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """The keywords that the word before the cursor could become."""
        text = document.text_before_cursor
        typed = "" if not text or text[-1].isspace() else text.split()[-1]
        found = candidates(self._connection, text)
        words = [(word, meaning) for word, meaning, keyword in found if keyword]
        # As in a shell: the space after a word comes with it as soon as there is no other choice.
        end = " " if len(words) == 1 else ""
        for word, meaning in words:
            yield Completion(word + end, start_position=-len(typed), display=word, display_meta=meaning)


def candidates(connection: Connection, text: str) -> list[tuple[str, str, bool]]:
    """What may come next; if the appliance has gone, that ends the prompt and not in its event loop."""
    try:
        return connection.candidates(text)
    except AttachError as error:
        get_app().exit(exception=error)
        return []


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


def help_lines(found: Sequence[tuple[str, str, bool]]) -> list[str]:
    """One line for each candidate: the text, and its help in a column of its own."""
    if not found:
        return [NO_HELP]
    width = max(len(text) for text, _, _ in found)
    return [f"  {text.ljust(width)}  {meaning}" for text, meaning, _ in found]


def _keys(connection: Connection) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("?")
    def _help(event: KeyPressEvent) -> None:
        text = event.current_buffer.document.text_before_cursor
        if is_literal(text):
            event.current_buffer.insert_text("?")
            return
        lines = [f"{connection.prompt}{text}?", *help_lines(candidates(connection, text))]
        if not event.app.is_done:
            run_in_terminal(lambda: print("\n".join(lines)))

    return bindings


class Pager:
    """Prints lines and stops after each page until a key: space a page, Enter a line, q no more."""

    def __init__(self, ask: Callable[[], str] | None = None) -> None:
        self._ask = ask or _ask

    def show(self, lines: Sequence[str], length: int) -> None:
        """Print ``lines``; a page has ``length`` rows of the terminal with its last for the question.

        0: all at once.
        """
        columns = get_terminal_size().columns
        room = page = max(1, length - 1)
        for text in lines:
            rows = max(1, -(-len(text) // columns))
            if length and rows > room and room < page:
                key = self._ask()
                if key == "q":
                    return
                room = page if key == " " else rows
            print(text)
            # A line longer than a page leaves nothing of it, and does not stop before itself.
            room = max(0, room - rows) if rows <= page else 0


def _ask() -> str:
    """Ask for a key at ``--More--``, which then goes away: ``" "``, ``"\\r"`` or ``"q"``."""
    bindings = KeyBindings()

    def answer(key: str, *names: str) -> None:
        for name in names:
            bindings.add(name, eager=True)(lambda event: event.app.exit(result=key))

    @bindings.add(Keys.Any)
    @bindings.add(Keys.BracketedPaste)
    def _ignore(_event: KeyPressEvent) -> None:
        """Any other key."""

    answer(" ", " ")
    answer("\r", "enter", "c-j", "down")
    answer("q", "q", "Q", "c-c", "c-d")
    # It must not be remembered as a line that was typed, so it has a session of its own.
    session: PromptSession[str] = PromptSession(key_bindings=bindings, erase_when_done=True)
    return session.prompt(MORE)


def interact(connection: Connection) -> int:
    """Prompt for lines until ``exit`` or end of input; a failed command is no reason to end."""
    session: PromptSession[str] = PromptSession(
        completer=_Completer(connection),
        complete_style=CompleteStyle.READLINE_LIKE,
        complete_while_typing=False,
        key_bindings=_keys(connection),
    )
    pager = Pager()
    while not connection.closed:
        try:
            line = session.prompt(connection.prompt)
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        lines = connection.execute(line).lines
        pager.show(lines, connection.length if sys.stdout.isatty() else 0)
    return 0
