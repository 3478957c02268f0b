"""Tables of names: listing one imports nothing, looking one up imports what it names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from napari_nucbudget.errors import UnknownNameError

__all__ = ["Registry", "near_misses"]


def near_misses(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """Sentence that names what `name` may have meant, or all that is known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known: {', '.join(names) or 'none'}."


class Registry(Mapping[str, Any]):
    """Read-only mapping from a name to an object that is imported on first use.

    Parameters
    ----------
    kind : str
        What the entries are, for messages ("detector network").
    entries : mapping of str to str
        ``{"name": "package.module:attribute"}``.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        try:
            target = self._entries[name]
        except KeyError:
            raise UnknownNameError(
                f"There is no {self.kind} named {name!r}. {near_misses(name, self._entries)}"
            ) from None
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
