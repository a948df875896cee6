"""Output that has to wait for something: pages that come from a database, one at a time.

::

    AsyncIterator of pages ──Waiting──▶ iterator of items ──screen──▶ lines ──▶ Shell
                                │  "I have to wait" ───────────────────────▶ awaits more(), goes on

A screen's ``lines`` and ``data`` stay plain generators: what they get from a :class:`Waiting` that is no item
of theirs (``None``, or the ``Waiting`` itself) they hand on, and whoever pulls them awaits it. So a page is
fetched only when the one before was read, and never more than one is in memory.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


class Waiting:
    """The items of some pages, as an iterator. It may be gone through once.

    It gives itself where :meth:`more` has to be awaited before the next item is asked for; after the
    last item, or when nobody wants more, :meth:`close` has to be awaited.
    """

    def __init__(self, pages: AsyncIterator[Sequence[Any]]) -> None:
        self._pages = pages
        self._page: Sequence[Any] = ()
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield self
            if self._ended:
                return
            yield from self._page
            self._page = ()

    async def more(self) -> None:
        """Fetch the next page. Raises what the source raises."""
        try:
            self._page = await anext(self._pages)
        except StopAsyncIteration:
            self._ended = True

    async def close(self) -> None:
        """Have the source give back what it holds; harmless after its end."""
        self._ended = True
        closing = getattr(self._pages, "aclose", None)
        if closing is not None:
            await closing()


def pause(item: Any) -> bool:
    """Whether an item is none of the source's: ``None``, or a :class:`Waiting` to be handed on."""
    return item is None or isinstance(item, Waiting)


def items(pages: AsyncIterator[Sequence[Any]]) -> Iterator[Any]:
    """The items of pages, with a :class:`Waiting` wherever one has to wait."""
    return iter(Waiting(pages))
