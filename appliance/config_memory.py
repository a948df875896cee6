"""What was made of the parts of a configuration before, so that a change costs what has changed.

A tree is never changed in place once it runs: an editor copies the sections on the way to the changed
line and shares all others. So a part that is the very same object as before gives the very same
result, and looking at its identity is enough. Only the results for the latest tree are kept.
"""

from collections.abc import Callable, Hashable, Sequence
from operator import is_
from typing import Any, TypeVar

Source = TypeVar("Source")
Result = TypeVar("Result")


class Memory:
    """Results by name; a name is used for one kind of result only."""

    def __init__(self) -> None:
        # The sources are kept too: as long as they live, no other object has their identity.
        self._single: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}
        self._many: dict[Hashable, tuple[list[Any], tuple[Any, ...]]] = {}
        self._used: set[Hashable] = set()

    def once(self, name: Hashable, sources: tuple[Any, ...], make: Callable[[], Result]) -> Result:
        """The result of ``make`` for these very sources, from before if they are the same objects."""
        self._used.add(name)
        known = self._single.get(name)
        if known is not None and len(known[0]) == len(sources) and all(map(is_, known[0], sources)):
            found: Result = known[1]
            return found
        result = make()
        self._single[name] = (sources, result)
        return result

    def each(
        self, name: Hashable, sources: Sequence[Source], make: Callable[[Source], Result]
    ) -> tuple[Result, ...]:
        """The results of ``make`` for each source; made only for the sources that are new.

        When nothing is new the very tuple of before comes back.
        """
        self._used.add(name)
        before, results = self._many.get(name, ([], ()))
        size, length = len(before), len(sources)
        if size == length and all(map(is_, before, sources)):
            return results
        most = min(size, length)
        head = next((place for place in range(most) if before[place] is not sources[place]), most)
        most -= head
        tail = next(
            (count for count in range(most) if before[size - 1 - count] is not sources[length - 1 - count]),
            most,
        )
        known = {id(before[place]): results[place] for place in range(head, size - tail)}
        middle = [
            known[id(source)] if id(source) in known else make(source)
            for source in sources[head : length - tail]
        ]
        made = (*results[:head], *middle, *results[size - tail :])
        self._many[name] = (list(sources), made)
        return made

    def close(self) -> None:
        """A whole tree has been looked at: forget what it had no use for."""
        for table in (self._single, self._many):
            for name in table.keys() - self._used:
                del table[name]
        self._used.clear()
