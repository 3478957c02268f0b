"""Products of matrices in the tile registers of Intel AMX: further lines of `lanes.Code`.

A tile is sixteen rows of sixteen words. Its product adds to a tile of float32 (row, column) a tile
of bfloat16 (row, 32 numbers) times one of (16, column, 2), where two numbers that are summed up
share a word. One instruction multiplies 8,192 pairs of numbers so, one on vectors 16 or 32.

Tiles keep nothing when a function ends; their sizes are put back as they were found, since other
code in the process has tiles too: oneDNN, with which torch computes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from napari_nucbudget.models.runtimes.lanes import LANES, Code, has_feature

__all__ = ["AmxCode", "has_amx"]

_TILES = 8
_SIZES = bytes([1, *bytes(15)]) + _TILES * bytes([64, 0]) + bytes(16) + _TILES * bytes([LANES])
"""Palette 1, then the bytes of each tile's rows, and how many rows it has."""
_ARCH_PRCTL = 158
"""Number of that call on 64-bit Linux."""
_REQUEST = 0x1023
"""ARCH_REQ_XCOMP_PERM: a process may use these registers only after it has asked."""
_TILE_DATA = 18
"""Number of the registers in that call."""


class AmxCode(Code):
    """One function that uses tiles, which go by numbers from 0 to 7, inside `tiles`."""

    declared = (
        *Code.declared,
        "@amx_sizes = private constant [64 x i8] ["
        + ", ".join(f"i8 {byte}" for byte in _SIZES.ljust(64, b"\0"))
        + "], align 64",
        "declare void @llvm.x86.ldtilecfg(ptr)",
        "declare void @llvm.x86.sttilecfg(ptr)",
        "declare void @llvm.x86.tilezero(i8)",
        "declare void @llvm.x86.tileloadd64(i8, ptr, i64)",
        "declare void @llvm.x86.tilestored64(i8, ptr, i64)",
        "declare void @llvm.x86.tdpbf16ps(i8, i8, i8)",
    )

    @contextmanager
    def tiles(self) -> Iterator[None]:
        """What is written inside uses tiles; then they have the sizes again that they had."""
        before = self.space(LANES)
        self._do(f"call void @llvm.x86.sttilecfg(ptr {before})")
        self._do("call void @llvm.x86.ldtilecfg(ptr @amx_sizes)")
        yield
        self._do(f"call void @llvm.x86.ldtilecfg(ptr {before})")

    def zero_tile(self, tile: int) -> None:
        self._do(f"call void @llvm.x86.tilezero(i8 {tile})")

    def load_tile(self, tile: int, place: str, step: str | int) -> None:
        """Sixteen rows that begin `step` words apart; 0 repeats the first."""
        self._do(
            f"call void @llvm.x86.tileloadd64(i8 {tile}, ptr {place}, i64 {self._bytes(step)})"
        )

    def store_tile(self, tile: int, place: str, step: str | int) -> None:
        self._do(
            f"call void @llvm.x86.tilestored64(i8 {tile}, ptr {place}, i64 {self._bytes(step)})"
        )

    def add_product(self, c: int, a: int, b: int) -> None:
        """Adds to `c` the product of `a` and `b`."""
        self._do(f"call void @llvm.x86.tdpbf16ps(i8 {c}, i8 {a}, i8 {b})")

    def _bytes(self, step: str | int) -> str | int:
        return 4 * step if isinstance(step, int) else self._op(f"mul i64 {step}, 4")


@cache
def has_amx() -> bool:
    """Whether the processor has tiles of bfloat16 and the system lets this process use them."""
    if sys.platform != "linux" or not (has_feature("amx-tile") and has_feature("amx-bf16")):
        return False
    call = ctypes.CDLL(None).syscall
    call.argtypes, call.restype = [ctypes.c_long] * 3, ctypes.c_long
    return bool(call(_ARCH_PRCTL, _REQUEST, _TILE_DATA) == 0)
