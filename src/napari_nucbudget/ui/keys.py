"""The keys of the workbench: in the canvas, and in its docks.

Classes have their keys in the project's scheme. The others are settings of napari
(Preferences, "Nuclei on a budget"). No digit is ever a key here: napari deletes the
selected points with 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.ui import actions

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_nucbudget.types.classes import ClassScheme
    from napari_nucbudget.ui.session import Session

__all__ = [
    "DEFAULT_KEYS",
    "FREE_KEYS",
    "PLUGIN",
    "Keys",
    "bind_points",
    "check_key",
    "class_keys",
    "settings",
]

PLUGIN = "napari-nucbudget"
FREE_KEYS = "QWEGHJKNU"
"""Plain keys that napari leaves free for points and images."""
TAKEN_KEYS = "ASPVXZ"
"""Plain keys with which napari works on points."""
TAKEN_WITH_CTRL = "ACOQSVWXYZ"
"""Undo, copy, save and other keys that mean the same in every program."""
DEFAULT_KEYS = {
    "next_proposal": "N",
    "previous_proposal": "Shift+N",
    "accept": "K",
    "reject": "J",
    "accept_in_view": "Shift+K",
    "lasso": "Shift+S",
}
"""Settings of the Preferences page, by name; the manifest has the same defaults."""
UNDO, REDO = "Ctrl+Z", "Ctrl+Shift+Z"


def settings() -> dict[str, str]:
    """The keys of today, from napari's Preferences; a wrong one is left at its default."""
    from napari.settings import get_plugin_settings

    stored = get_plugin_settings(PLUGIN).keys
    keys = {}
    for name, default in DEFAULT_KEYS.items():
        key = str(getattr(stored, name, default)).strip()
        try:
            keys[name] = check_key(key)
        except ConfigError:
            keys[name] = default
    return keys


def check_key(key: str) -> str:
    """The key itself, spelt as shown, once it is known to be free.

    Raises
    ------
    ConfigError
        For digits, keys that napari needs for points, and what is no key.
    """
    match = re.fullmatch(r"((?:(?:Shift|Alt|Ctrl)\+)*)([A-Za-z0-9])", key.strip())
    if match is None:
        raise ConfigError(f"{key!r} is no key. Type a letter, such as Q, or Shift+Q.")
    parts, letter = match[1], match[2].upper()
    if letter.isdigit():
        raise ConfigError(
            f"The key {letter} cannot be used: napari's digits delete or add points. "
            f"Free letters are {', '.join(FREE_KEYS)}."
        )
    if not parts and letter in TAKEN_KEYS:
        raise ConfigError(
            f"napari needs the key {letter} for points. Free letters are {', '.join(FREE_KEYS)}."
        )
    if "Ctrl" in parts and letter in TAKEN_WITH_CTRL:
        raise ConfigError(
            f"The key {parts}{letter} is taken, as in most programs. Free letters are "
            f"{', '.join(FREE_KEYS)}."
        )
    return parts + letter


class Keys:
    """Keys bound in the canvas of one viewer, the same ones for every layer.

    `commands` are called by the names of `DEFAULT_KEYS`; those of the annotate dock are
    added with `offer` while it is open.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bound: list[str] = []
        self._preferences: Any = None
        self._commands: dict[str, Callable[[], object]] = {
            "accept": lambda: actions.accept_selected(session),
            "reject": lambda: actions.delete_selected(session),
            "accept_in_view": lambda: actions.accept_in_view(session),
        }

    def offer(self, **commands: Callable[[], object]) -> None:
        """Add commands, such as next_proposal."""
        self._commands.update(commands)
        self.rebind()

    def withdraw(self, *names: str) -> None:
        for name in names:
            self._commands.pop(name, None)
        self.rebind()

    def table(self) -> dict[str, Callable[[], object]]:
        """Key to command, classes included; in napari's spelling ``Shift-N``."""
        session, store = self._session, self._session.store
        if store is None:
            return {}
        own = settings()
        keys = {own[name]: command for name, command in self._commands.items()}
        for name, key in class_keys(store.classes).items():
            keys[key] = partial(actions.relabel_selected, session, name)
        return {UNDO: session.undo, REDO: session.redo} | keys

    def rebind(self) -> None:
        """Bind the keys as they are now: after the scheme, a setting or the project changed."""
        viewer = self._session.viewer
        self._follow_preferences()
        for key in self._bound:
            viewer.bind_key(_spelt(key), None)
        self._bound = []
        for key, command in self.table().items():
            viewer.bind_key(_spelt(key), _pressed(command), overwrite=True)
            self._bound.append(key)

    def leave(self) -> None:
        """Follow the Preferences no more."""
        if self._preferences is not None:
            self._preferences.disconnect(self._changed)
            self._preferences = None

    def _follow_preferences(self) -> None:
        if self._preferences is None and self._session.store is not None:
            from napari.settings import get_plugin_settings

            self._preferences = get_plugin_settings(PLUGIN).events.changed
            self._preferences.connect(self._changed)

    def _changed(self, event: Any = None) -> None:
        """A key was chosen in the Preferences."""
        self.rebind()
        self._session.keys_changed.emit()


def command_keys() -> set[str]:
    """Keys of commands, in upper case: no class can have them."""
    return {key.upper() for key in settings().values()}


def class_keys(classes: ClassScheme) -> dict[str, str]:
    """Key of each class that has a usable one."""
    keys, taken = {}, command_keys()
    for each in classes.classes:
        try:
            key = check_key(each.key)
        except ConfigError:
            continue
        if key.upper() not in taken:
            keys[each.name] = key
    return keys


def bind_points(session: Session, points: Points) -> None:
    """Copy, paste and delete through the project: napari's own paste tells nobody.

    And its own delete knows of those on screen alone.
    """

    def copy(layer: Any) -> None:
        actions.copy(session)

    def paste(layer: Any) -> None:
        cursor = session.viewer.cursor.position
        actions.paste(session, np.asarray(points.world_to_data(cursor))[-2:])

    def delete(layer: Any) -> None:
        actions.delete_selected(session)

    for key in ("Delete", "Backspace"):
        points.bind_key(key, delete, overwrite=True)
    points.bind_key("Control-C", copy, overwrite=True)
    points.bind_key("Control-V", paste, overwrite=True)


def _spelt(key: str) -> str:
    return key.replace("Ctrl+", "Control-").replace("+", "-")


def _pressed(command: Callable[[], object]) -> Callable[[Any], None]:
    def press(viewer: Any) -> None:
        command()

    return press
