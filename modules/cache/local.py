"""The level in this process: the least recently used of too many values goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from modules.cache.contracts import EVERYTHING
from modules.cache.entry import Entry


class LocalLevel:
    """Values by key and by tag. Times are the caller's affair: an old entry stays until it is
    replaced, dropped or evicted, because it may yet stand in for a failing load."""

    def __init__(self, *, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._keys_by_tag: dict[str, set[str]] = {}
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The entry, which now counts as just used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep the entry instead of an earlier one of that key."""
        self._remove(key)
        self._entries[key] = entry
        for tag in entry.tags:
            self._keys_by_tag.setdefault(tag, set()).add(key)
        while len(self._entries) > self._max_entries:
            self._remove(next(iter(self._entries)))
            self.evictions += 1

    def drop(self, tags: Iterable[str]) -> None:
        """Forget every entry under any of the tags."""
        for tag in tags:
            if tag == EVERYTHING:
                self._entries.clear()
                self._keys_by_tag.clear()
            for key in tuple(self._keys_by_tag.get(tag, ())):
                self._remove(key)

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        for tag in entry.tags if entry is not None else ():
            keys = self._keys_by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._keys_by_tag[tag]
