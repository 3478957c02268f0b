from __future__ import annotations

from napari_nucbudget.types.progress import time_in_words


def test_durations_are_said_as_people_say_them():
    said = [time_in_words(s) for s in (4.06, 12, 1000, 9000)]
    assert said == ["4.1 s", "12 s", "17 min", "2.5 h"]
