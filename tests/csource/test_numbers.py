"""C's arithmetic and control flow in the translation, against the system's compiler."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("clang.cindex", reason="libclang is missing")

from foliolab.framework.csource import libclang, onefile
from foliolab.framework.csource.unit import Unit
from foliolab.framework.csource.value import BELOW_TEXT
from foliolab.framework.csource.vocabulary import Vocabulary
from foliolab.framework.errors import CSourceError
from foliolab.framework.machine.primitives import u64

TEXT = """
#define MASK 0xffu
#define TOP BIT(63)
enum side { LEFT, RIGHT = 5 };

unsigned int add_u32(unsigned int a, unsigned int b) { return a + b; }
unsigned int sub_u32(unsigned int a, unsigned int b) { return a - b * 3; }
unsigned long mul_u64(unsigned long a, unsigned long b) { return a * b + 1; }
long to_long(unsigned int a, int b) { return (long)a + b; }
int to_int(unsigned long a, unsigned long b) { return (int)a ^ (int)(b >> 7); }
short to_short(int a, int b) { return (short)(a + (short)b); }
unsigned char to_byte(int a, int b) { return a - b; }
bool below_u64(unsigned long a, unsigned long b) { return a < b; }
bool most_u64(unsigned long a, unsigned long b) { return a >= b && !(a > b + 1); }
bool mixed(int a, unsigned int b) { return a < b; }
bool mixed_long(long a, unsigned int b) { return a <= b; }
unsigned long shifts(unsigned long a, unsigned long b) { return (a << 3) | (b >> 60) | (a >> 33 & MASK); }
int shift_int(int a, int b) { return (a >> 3) + (b & 0xffff) + (~b & 7); }
unsigned int inverted(unsigned int a, unsigned int b) { return ~a & ~(b | MASK); }
unsigned long bits(unsigned long a, unsigned long b) { return (a & ~TOP) + (b & TOP); }
int truth(int a, int b) { return !a + !!b + (a == b) * 2 + (a ? b != 3 : 4); }
unsigned int division(unsigned int a, unsigned int b) { return a / 7 + a % (b % 9 + 1); }
unsigned int compound(unsigned int a, unsigned int b) { a += b; a <<= 2; a ^= b; a |= 1; a -= 5; a &= ~2u; return a; }
unsigned char narrow(unsigned char a, unsigned char b) { a += b; a--; return a; }
int jumps(int a, int b)
{
	int r = 1;

	if (a > b)
		goto out;
	r = 2;
	if (b > 100) {
		r = 3;
		goto out;
	}
	r += 10;
out:
	return r + (a == 7);
}
int loops(int a, int b)
{
	int i, n = a & 7, sum = 0;

	for (i = 0; i < n; i++) {
		if (i == (b & 3))
			continue;
		if (i == 6)
			break;
		sum += i;
	}
	while (sum > 10) {
		sum -= 3;
		if (sum == 12)
			break;
	}
	n = (b & 3) + 1;
	do {
		sum++;
		if (sum > 20)
			break;
	} while (--n > 0);
	return sum;
}
static int helper(int a, int *low, bool *odd)
{
	*low = a & 15;
	if (a < 0) {
		*odd = true;
		return -1;
	}
	*low += 1;
	return a >> 4;
}
int results(int a, int b)
{
	int low = 3, more;
	bool odd = false;

	more = helper(a, &low, &odd);
	a = helper(b & 31, &low, &odd);
	more += a ? low : odd;
	return more + low * 2 + odd;
}
static int chosen(int a, enum side side)
{
	switch (side) {
	case LEFT:
		a += 1;
		break;
	case RIGHT:
		a += 2;
		/* falls through */
	default:
		a *= 2;
	}
	return a;
}
int switches(int a, int b) { a &= 0xff; b &= 0xff; return chosen(a, LEFT) + chosen(b, RIGHT) * 2; }
"""
TYPES: dict[str, Any] = {
    "int": ctypes.c_int, "unsigned int": ctypes.c_uint, "long": ctypes.c_long, "unsigned long": ctypes.c_ulong,
    "short": ctypes.c_short, "unsigned char": ctypes.c_ubyte, "bool": ctypes.c_bool,
}  # fmt: skip
RUNGS = 16
RUNG = "\tif (a >> {n} & 1) {{\n\t\tif (b >> {n} & 1)\n\t\t\tgoto out;\n\t\tr += {n};\n\t}}\n"
TEXT += f"""
int ladder(int a, int b)
{{
	int r = 1;

{"".join(RUNG.format(n=n) for n in range(RUNGS))}	r = ~r;
out:
	return r + (a == 7);
}}
"""
SIGNATURE = re.compile(
    r"^(int|unsigned int|long|unsigned long|short|unsigned char|bool) (\w+)\(([\w ]+) a, ([\w ]+) b\)", re.M
)
FUNCTIONS = {name: (result, first, second) for result, name, first, second in SIGNATURE.findall(TEXT)}


def unit_of(text: str) -> Unit:
    stub = onefile.STUB.read_text()
    main = f'#include "{onefile.STUB.name}"\nstruct page {{ int x; }};\n#include "/text.c"\n'
    cursor = libclang.parsed(main, {f"/{onefile.STUB.name}": stub, "/text.c": text})
    return Unit(cursor, {"/text.c": text}, Vocabulary())


@pytest.fixture(scope="module")
def policy() -> dict[str, Any]:
    """The functions of the translation, by name."""
    unit = unit_of(TEXT)
    for name in FUNCTIONS:
        unit.translated(name)
    lines = [BELOW_TEXT]
    lines += ["    " * depth + text for one in unit.instances for depth, text, _ in one.lines]
    space: dict[str, Any] = {"u64": u64, **unit.constants}
    exec("\n".join(lines), space)
    return space


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The functions as the system's compiler makes them."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder: Path = tmp_path_factory.mktemp("c")
    (folder / "text.c").write_text("#include <stdbool.h>\n#define BIT(n) (1UL << (n))\n" + TEXT)
    subprocess.run([compiler, "-shared", "-fPIC", "-fwrapv", "-O1", "-o", "text.so", "text.c"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "text.so"))


def pattern(value: int, kind: str) -> int:
    """A value of a C type as policies have it."""
    return u64(int(value)) if kind == "unsigned long" else int(value)


def operands(kind: str) -> st.SearchStrategy[int]:
    bits = 8 * ctypes.sizeof(TYPES[kind])
    low, high = (0, (1 << bits) - 1) if kind.startswith("unsigned") else (-(1 << bits - 2), (1 << bits - 2) - 1)
    return st.sampled_from([low, high, 0, 1, 7, high >> 1, (high >> 1) + 1, 100, 3]) | st.integers(low, high)


def test_the_text_of_jumps_grows_with_their_number() -> None:
    unit = unit_of(TEXT)
    unit.translated("ladder")
    assert len(unit.instances[0].lines) < 8 * RUNGS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_translation_calculates_as_c_does(name: str, policy: dict[str, Any], compiled: ctypes.CDLL) -> None:
    result, first, second = FUNCTIONS[name]
    native: Callable[..., Any] = getattr(compiled, name)
    native.restype, native.argtypes = TYPES[result], [TYPES[first], TYPES[second]]  # type: ignore[attr-defined]

    @settings(max_examples=150, database=None, deadline=None)
    @given(a=operands(first), b=operands(second))
    @example(a=7, b=7)
    def check(a: int, b: int) -> None:
        found = policy[name](pattern(a, first), pattern(b, second))
        assert int(found) == pattern(native(a, b), result)

    check()


REFUSED = [
    ("int f(int a) { return a / 2; }", "one of them may be negative"),
    ("int f(int a) { float x = a; return x > 1; }", "of a float"),
    ("int f(int a) { int i; for (i = 0; i < a; i++) a--; return a; }", "the loop changes a"),
    ("int f(int a) { int i; for (i = 0; i < a; i++) ; return i; }", "i is used after its loop"),
    ("int f(int a) { do { a--; if (a == 3) continue; a--; } while (a > 0); return a; }", "continue in a do loop"),
    ("int f(int a) { switch (a) { case 1: return 2; } return 1; }", "a switch over what is not known"),
    ("int f(int a) { while (a > 0) { a--; if (a == 3) goto out; } out: return a; }", "out of the loop"),
    ("unsigned long f(unsigned long a, int b) { return a >> b; }", "by a number of bits that is not known"),
    ("static int x; int f(int a) { return a + x; }", "x is a global variable"),
    (
        "int g(int a, int *b) { *b = a; return a; } int f(int a) { int b; return g(a, &b) + b; }",
        "g gives results through pointers inside of an expression",
    ),
    ("int f(int a) { static int x; return a + x; }", "x is static"),
    ("int f(int (*g)(void)) { return g(); }", "calls "),
    ("int f(int a) { return ({ int b = a; b; }); }", "has no translation"),
    ("int f(struct page *p, struct page *q) { return p == q; }", "of two pointers"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_what_would_mean_something_else_is_refused(text: str, says: str) -> None:
    with pytest.raises(CSourceError, match=re.escape(says)) as fault:
        unit_of(text).translated("f")
    assert "/text.c:1: " in fault.value.what


def test_a_function_may_have_the_name_of_a_primitive() -> None:
    unit = unit_of("static int store(int a) { return a + 1; } int f(int a) { return store(a); }")
    unit.translated("f")
    assert [one.lines[0][1] for one in unit.instances] == ["def store_(a):", "def f(a):"]


def test_a_variable_may_have_a_name_that_python_means_otherwise() -> None:
    unit = unit_of("int f(int in, int load) { int lambda = in + load; return lambda; }")
    unit.translated("f")
    (made,) = unit.instances
    assert made.lines[0][1] == "def f(in_, load_):" and made.lines[1][1] == "lambda_ = in_ + load_"
