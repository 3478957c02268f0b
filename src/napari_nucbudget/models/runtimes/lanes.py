"""Code on vectors of sixteen numbers, which LLVM compiles for the processor at hand.

    code = Code("double", pointers=("x", "y"))
    with code.loop(10) as i:
        value = code.load(code.at("%x", i, 16))
        code.store(code.add(value, value), code.at("%y", i, 16))
    double = compiled([code])["double"]
    double(x.data_ptr(), y.data_ptr())

Every operation gives the name of its result, a line of LLVM's assembly language. A
function takes addresses of numbers, gives nothing, checks nothing, and runs beside
Python (ctypes lets other threads go on). LLVM comes with llvmlite (extra ``fast``).
"""

from __future__ import annotations

import ctypes
import itertools
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import ClassVar

__all__ = [
    "LANES",
    "ZERO",
    "Code",
    "absent",
    "compiled",
    "has_bfloat16",
    "has_feature",
    "has_wide_registers",
]

LANES = 16
OLDEST = 0, 45
"""Of llvmlite: with it came LLVM 20, whose language is written here."""
ZERO = "zeroinitializer"
"""The vector of zeros; what it is added to or multiplied with costs nothing."""
_FLOATS = "<16 x float>"
_WORDS = "<16 x i32>"
_SIGN = 0x80000000

_DECLARED_BFLOAT16 = """
declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(
    <16 x float>, <32 x bfloat>, <32 x bfloat>)
"""


class Code:
    """One function, written operation by operation.

    A place is an address in numbers of four bytes; a value is a vector of sixteen.
    """

    declared: ClassVar[tuple[str, ...]] = (
        "declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)",
        "declare float @llvm.vector.reduce.fadd.v16f32(float, <16 x float>)",
    )
    """What has to stand before it, once in a module."""

    def __init__(
        self, name: str, *, pointers: tuple[str, ...], sizes: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.arguments = len(pointers), len(sizes)
        taken = [f"ptr %{p}" for p in pointers] + [f"i64 %{s}" for s in sizes]
        self._head = f"define void @{name}({', '.join(taken)}) nounwind {{"
        self._variables: list[str] = []
        self._lines: list[str] = []
        self._block = "entry"
        self._numbers = itertools.count()

    def __str__(self) -> str:
        return "\n".join(
            [self._head, "entry:", *self._variables, *self._lines, "  ret void", "}", ""]
        )

    # places -----------------------------------------------------------------------------

    def at(self, place: str, *steps: str | int) -> str:
        """`place` moved on by the product of `steps`, of which the last is a number of numbers."""
        index: str | int = steps[0]
        for step in steps[1:]:
            index = self._op(f"mul i64 {index}, {step}")
        return self._op(f"getelementptr float, ptr {place}, i64 {index}")

    @contextmanager
    def loop(self, count: str | int) -> Iterator[str]:
        """What is written inside runs for 0, 1 ... count - 1; count is at least one."""
        number, before = next(self._numbers), self._block
        head, done, index = f"head{number}", f"done{number}", f"%index{number}"
        self._do(f"br label %{head}")
        self._lines.append(f"{head}:")
        first = len(self._lines)
        self._lines.append("")
        self._block = head
        yield index
        self._do(f"%next{number} = add nuw nsw i64 {index}, 1")
        self._do(f"%more{number} = icmp ult i64 %next{number}, {count}")
        self._do(f"br i1 %more{number}, label %{head}, label %{done}")
        back = f"[ %next{number}, %{self._block} ]"
        self._lines[first] = f"  {index} = phi i64 [ 0, %{before} ], {back}"
        self._lines.append(f"{done}:")
        self._block = done

    def variable(self, value: str) -> str:
        """A place for one vector that loops can carry along; LLVM keeps it in a register."""
        place = self.space(LANES)
        self.store(value, place)
        return place

    def space(self, numbers: int) -> str:
        """A place for so many numbers as long as the function runs."""
        name = f"%v{next(self._numbers)}"
        self._variables.append(f"  {name} = alloca [{numbers} x float], align 64")
        return name

    def load(self, place: str) -> str:
        return self._op(f"load {_FLOATS}, ptr {place}, align 4")

    def store(self, value: str, place: str) -> None:
        self._do(f"store {_FLOATS} {value}, ptr {place}, align 4")

    def load_each(self, place: str) -> str:
        """The number there, sixteen times."""
        number = self._op(f"load float, ptr {place}, align 4")
        single = self._op(f"insertelement {_FLOATS} poison, float {number}, i32 0")
        return self._op(f"shufflevector {_FLOATS} {single}, {_FLOATS} poison, {_WORDS} {ZERO}")

    def store_sum(self, value: str, place: str) -> None:
        """The sum of the sixteen numbers, as one."""
        total = self._op(
            f"call reassoc float @llvm.vector.reduce.fadd.v16f32(float 0.0, {_FLOATS} {value})"
        )
        self._do(f"store float {total}, ptr {place}, align 4")

    # arithmetic -------------------------------------------------------------------------

    def add(self, a: str, b: str) -> str:
        if ZERO in (a, b):
            return b if a == ZERO else a
        return self._op(f"fadd contract {_FLOATS} {a}, {b}")

    def subtract(self, a: str, b: str) -> str:
        if b == ZERO:
            return a
        if a == ZERO:
            return self.negative(b)
        return self._op(f"fsub contract {_FLOATS} {a}, {b}")

    def negative(self, a: str) -> str:
        return ZERO if a == ZERO else self._op(f"fneg {_FLOATS} {a}")

    def times(self, a: str, factor: float) -> str:
        if a == ZERO:
            return ZERO
        single = struct.unpack("<f", struct.pack("<f", factor))[0]
        bits = struct.unpack("<Q", struct.pack("<d", single))[0]  # LLVM writes floats as doubles
        vector = ", ".join([f"float 0x{bits:016X}"] * LANES)
        return self._op(f"fmul contract {_FLOATS} {a}, <{vector}>")

    def multiply_add(self, a: str, b: str, c: str) -> str:
        """a b + c"""
        return self._op(
            f"call {_FLOATS} @llvm.fma.v16f32({_FLOATS} {a}, {_FLOATS} {b}, {_FLOATS} {c})"
        )

    def larger(self, a: str, b: str = ZERO) -> str:
        """The larger one of both; `a` where either is no number."""
        which = self._op(f"fcmp ogt {_FLOATS} {b}, {a}")
        return self._op(f"select <16 x i1> {which}, {_FLOATS} {b}, {_FLOATS} {a}")

    # bfloat16, two numbers to a word ----------------------------------------------------

    def pair(self, low: str, high: str, *, minus: bool = False) -> str:
        """Sixteen words: `low` and `high`, or minus `high`, rounded to bfloat16."""
        low_word = self._op(f"lshr {_WORDS} {self._rounded(low)}, {_words(16)}")
        high_word = self._op(f"and {_WORDS} {self._rounded(high)}, {_words(0xFFFF0000)}")
        if minus:
            high_word = self._op(f"xor {_WORDS} {high_word}, {_words(_SIGN)}")
        both = self._op(f"or {_WORDS} {low_word}, {high_word}")
        return self._op(f"bitcast {_WORDS} {both} to {_FLOATS}")

    def pair_turned(self, a: str) -> str:
        """(low, high) as (-high, low)."""
        bits = self._op(f"bitcast {_FLOATS} {a} to {_WORDS}")
        low = self._op(f"shl {_WORDS} {bits}, {_words(16)}")
        high = self._op(f"lshr {_WORDS} {bits}, {_words(16)}")
        turned = self._op(f"or {_WORDS} {low}, {high}")
        turned = self._op(f"xor {_WORDS} {turned}, {_words(_SIGN >> 16)}")
        return self._op(f"bitcast {_WORDS} {turned} to {_FLOATS}")

    def pair_product(self, a: str, b: str, c: str) -> str:
        """c + the sum of both products of two words of `pair`."""
        a = self._op(f"bitcast {_FLOATS} {a} to <32 x bfloat>")
        b = self._op(f"bitcast {_FLOATS} {b} to <32 x bfloat>")
        return self._op(
            f"call {_FLOATS} @llvm.x86.avx512bf16.dpbf16ps.512("
            f"{_FLOATS} {c}, <32 x bfloat> {a}, <32 x bfloat> {b})"
        )

    def store_halves(self, value: str, place: str) -> None:
        """The sixteen numbers in bfloat16, thus in the room of eight."""
        short = self._op(f"fptrunc {_FLOATS} {value} to <16 x bfloat>")
        self._do(f"store <16 x bfloat> {short}, ptr {place}, align 4")

    def _rounded(self, value: str) -> str:
        """Bits whose upper half is the nearest bfloat16, ties to even."""
        bits = self._op(f"bitcast {_FLOATS} {value} to {_WORDS}")
        odd = self._op(f"lshr {_WORDS} {bits}, {_words(16)}")
        odd = self._op(f"and {_WORDS} {odd}, {_words(1)}")
        more = self._op(f"add {_WORDS} {odd}, {_words(0x7FFF)}")
        return self._op(f"add {_WORDS} {bits}, {more}")

    def _op(self, text: str) -> str:
        name = f"%v{next(self._numbers)}"
        self._do(f"{name} = {text}")
        return name

    def _do(self, text: str) -> None:
        self._lines.append("  " + text)


def _words(value: int) -> str:
    return "<" + ", ".join([f"i32 {value}"] * LANES) + ">"


def absent() -> str | None:
    """What to install, in words; None where LLVM is there."""
    if find_spec("llvmlite") is None:
        return 'llvmlite is not installed; pip install "napari-nucbudget[fast]"'
    found = version("llvmlite")
    if tuple(map(int, found.split(".")[:2])) < OLDEST:
        return f'llvmlite {found} is too old; pip install -U "napari-nucbudget[fast]"'
    try:
        import llvmlite.binding  # noqa: F401
    except (ImportError, OSError) as error:
        return f"llvmlite cannot be loaded ({error}); pip install --force-reinstall llvmlite"
    return None


def has_bfloat16() -> bool:
    """Whether the processor multiplies pairs of bfloat16 (AVX-512 BF16)."""
    return has_feature("avx512bf16")


def has_wide_registers() -> bool:
    """Whether a register holds sixteen numbers (AVX-512); there are 32 of them then."""
    return has_feature("avx512f")


@cache
def has_feature(feature: str) -> bool:
    import llvmlite.binding as llvm

    return bool(dict(llvm.get_host_cpu_features()).get(feature))


_compiling = threading.Lock()


def compiled(codes: Iterable[Code]) -> dict[str, Callable[..., None]]:
    """The functions by name; each takes addresses, then sizes, as integers."""
    import llvmlite.binding as llvm

    codes = list(codes)
    with _compiling:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        declared = dict.fromkeys(line for code in codes for line in code.declared)
        bfloat16 = _DECLARED_BFLOAT16 if has_bfloat16() else ""
        module = llvm.parse_assembly("\n".join([*declared, bfloat16, *map(str, codes)]))
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
        )
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
    found: dict[str, Callable[..., None]] = {}
    for code in codes:
        pointers, sizes = code.arguments
        kinds = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * sizes
        function = ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address(code.name))
        function.engine = engine  # type: ignore[attr-defined]  # the code lives as long as it
        found[code.name] = function
    return found
