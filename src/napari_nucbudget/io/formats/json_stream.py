"""A large JSON file read piece by piece, so that a million features never lie in memory at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from napari_nucbudget.errors import PointsError

__all__ = ["json_members"]

CHUNK = 1 << 20
SPACE = " \t\r\n"
OF_A_NUMBER = "e-"
"""The most that may stand between the digits of a number; alone after some, it is none yet."""


def json_members(path: Path, array: str) -> Iterator[tuple[str, Any]]:
    """Members of the file's object in order; those of the list `array` one element at a time.

    A file that is a list is read as if that list were the member `array`.

    Raises
    ------
    PointsError
        Where the file is absent, not text, not JSON, or cut short.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _members(_Reader(file, path), array)
    except OSError as error:
        raise PointsError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise PointsError(
            f"{path} is not a text file in UTF-8 ({error.reason} at byte {error.start})."
        ) from error


def _members(reader: _Reader, array: str) -> Iterator[tuple[str, Any]]:
    first = reader.peek()
    if first == "[":
        yield from ((array, element) for element in reader.elements())
    elif first == "{":
        reader.take("{")
        while reader.peek() != "}":
            key = reader.value()
            if not isinstance(key, str):
                reader.fail("a name was expected")
            reader.take(":")
            if key == array and reader.peek() == "[":
                yield from ((array, element) for element in reader.elements())
            else:
                yield key, reader.value()
            if reader.peek() != "}":
                reader.take(",")
        reader.take("}")
    else:
        reader.fail("an object was expected")
    if reader.peek():
        reader.fail("there is more after its end")


class _Reader:
    """A window on the text that grows until the next value fits into it."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._text = ""
        self._at = 0
        self._before = 0
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in SPACE:
                    return character
                self._at += 1
            if not self._grow():
                return ""

    def take(self, character: str) -> None:
        if self.peek() != character:
            self.fail(f"{character!r} was expected")
        self._at += 1

    def value(self) -> Any:
        if not self.peek():
            self.fail("it ends too early")
        while True:
            try:
                found, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._grow():
                    self.fail(error.msg, error.pos)
                continue
            except RecursionError:
                self.fail("it is nested too deeply")
            if len(self._text) - end <= len(OF_A_NUMBER) and self._grow():
                continue  # a number may go on
            self._at = end
            return found

    def elements(self) -> Iterator[Any]:
        self.take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self.take(",")
        self.take("]")

    def fail(self, what: str, at: int | None = None) -> Any:
        place = self._before + (self._at if at is None else at)
        raise PointsError(
            f"{self._path} is not JSON, or was cut short: {what} at character {place:,}."
        )

    def _grow(self) -> bool:
        """Read on, at least as much as is in the window, so that growing stays linear."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        more = self._file.read(max(CHUNK, len(rest)))
        self._ended = not more
        if more:
            self._before += self._at
            self._text, self._at = rest + more, 0
        return bool(more)
