"""Plain data that every other layer speaks in."""
