"""A table that forgets what was not asked for longest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


class Kept(Generic[Key, Item]):
    """Holds at most ``most`` items."""

    def __init__(self, most: int) -> None:
        """Start empty."""
        self._most = most
        self._items: dict[Key, Item] = {}

    def find(self, key: Key) -> Item | None:
        """Give the item at ``key``, None if there is none."""
        item = self._items.pop(key, None)
        if item is not None:
            self._items[key] = item
        return item

    def drop(self, key: Key) -> None:
        """Forget the item at ``key``, if there is one."""
        self._items.pop(key, None)

    def get(self, key: Key, make: Callable[[], Item]) -> Item:
        """Give the item at ``key``, what ``make`` gives if there is none yet."""
        item = self._items.pop(key) if key in self._items else make()
        self._items[key] = item
        if len(self._items) > self._most:
            del self._items[next(iter(self._items))]
        return item
