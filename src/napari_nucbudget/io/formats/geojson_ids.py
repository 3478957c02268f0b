"""Ids of nuclei inside the UUIDs of QuPath's objects, so that they survive a visit there.

A UUID of version 8 (RFC 9562: free for private layouts) holds six bytes that
stand for the image, ten bits that say it is ours, and the 64 bits of the id.
"""

from __future__ import annotations

from uuid import UUID

__all__ = ["nucleus_id", "nucleus_uuid", "whole_id"]

MARK = 0b1011010010
LOW_62 = (1 << 62) - 1
HEAD = (8 << 12) | (MARK << 2)
"""Version, and our mark above the two highest bits of the id."""


def nucleus_uuid(number: int, prefix: bytes) -> str:
    """UUID of a nucleus whose int64 id is `number`; `prefix` is six bytes that name its image."""
    bits = number & 0xFFFF_FFFF_FFFF_FFFF
    third = HEAD | (bits >> 62)
    last = (0b10 << 62) | (bits & LOW_62)
    first = prefix.hex()
    tail = f"{last:016x}"
    return f"{first[:8]}-{first[8:]}-{third:04x}-{tail[:4]}-{tail[4:]}"


def nucleus_id(text: object) -> int | None:
    """The id inside such a UUID; None where it is another one, or none at all."""
    if not isinstance(text, str) or len(text) != 36:
        return None
    try:
        value = UUID(text).int
    except ValueError:
        return None
    third = (value >> 64) & 0xFFFF
    if third & ~0b11 != HEAD or (value >> 62) & 0b11 != 0b10:
        return None
    bits = ((third & 0b11) << 62) | (value & LOW_62)
    return bits - (1 << 64) if bits >> 63 else bits


def whole_id(given: object) -> int | None:
    """The id where it is a whole number, also one that was written as 7.0; else None."""
    if isinstance(given, float) and given.is_integer() and abs(given) <= 2**53:
        return int(given)
    return given if type(given) is int else None
