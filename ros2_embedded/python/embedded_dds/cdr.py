"""XCDR1 (plain CDR, little endian) code for one message class, generated once per class.

The generated functions work on `_slots` directly: setters check what users assign, the wire needs no second
look. Runs of scalars whose relative alignment is known are packed by one `struct.Struct`.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from embedded_dds.definitions import Field, load

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = {
    "bool": "?", "byte": "c", "char": "B", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H",
    "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
HEADER = b"\x00\x01\x00\x00"
_ZEROS = tuple(bytes(n) for n in range(8))


class _Generator:
    """Shared by reader and writer: walks the fields, keeps track of alignment, collects lines of code.

    `known = (k, r)` says that the position is r modulo k."""

    def __init__(self, class_of: Callable[[str], type]) -> None:
        self.class_of = class_of
        self.scope: dict[str, Any] = {
            "Z": _ZEROS,
            "A": array,
            "np": np,
            "new": object.__new__,
            "L": struct.Struct("<I"),
        }
        self.lines: list[str] = []
        self.depth = 1
        self.known = (8, 0)
        self.run: list[tuple[str, str]] = []
        self.count = 0

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def name(self, prefix: str, value: Any = None) -> str:
        self.count += 1
        name = f"{prefix}{self.count}"
        if value is not None:
            self.scope[name] = value
        return name

    def align(self, size: int) -> None:
        modulus, rest = self.known
        if modulus >= size:
            if pad := -rest % size:
                self.run.append((f"{pad}x", ""))
                self.known = (modulus, (rest + pad) % modulus)
        else:
            self.flush()
            self.emit_align(size)
            self.known = (size, 0)

    def scalar(self, base: str, target: str) -> None:
        code = FORMATS[base]
        size = struct.calcsize(f"<{code}")
        self.align(size)
        self.run.append((code, target))
        self.known = (self.known[0], (self.known[1] + size) % self.known[0])

    def flush(self) -> None:
        if self.run:
            packer = struct.Struct("<" + "".join(code for code, _ in self.run))
            targets = [target for _, target in self.run if target]
            self.run = []
            self.emit_run(packer, targets)

    def length(self) -> None:
        """Positions the stream for a 32-bit length."""
        self.align(4)
        self.flush()

    def message(self, name: str, owner: str) -> None:
        for item in load(name).fields:
            self.field(item, f"{owner}._{item.name}")

    def field(self, item: Field, target: str) -> None:
        if item.kind != "scalar":
            self.flush()
            self.many(item, target)
        elif item.nested:
            self.nested(item.base, target)
        elif item.base == "string":
            self.string(target)
        else:
            self.scalar(item.base, target)

    def loop(self, header: str, body: Callable[[], None]) -> None:
        self.emit(header)
        self.depth += 1
        self.known = (1, 0)
        body()
        self.flush()
        self.depth -= 1
        self.known = (1, 0)

    def compile(self, signature: str, ending: str) -> Callable[..., Any]:
        self.flush()
        self.emit(ending)
        source = "\n".join([f"def function({signature}):", *self.lines])
        exec(compile(source, "<cdr>", "exec"), self.scope)
        return self.scope["function"]

    def emit_align(self, size: int) -> None:
        raise NotImplementedError

    def emit_run(self, packer: struct.Struct, targets: list[str]) -> None:
        raise NotImplementedError

    def nested(self, base: str, target: str) -> None:
        raise NotImplementedError

    def string(self, target: str) -> None:
        raise NotImplementedError

    def many(self, item: Field, target: str) -> None:
        raise NotImplementedError


class _Writer(_Generator):
    def emit_align(self, size: int) -> None:
        self.emit(f"n = -len(b) & {size - 1}")
        self.emit("if n: b += Z[n]")

    def emit_run(self, packer: struct.Struct, targets: list[str]) -> None:
        self.emit(f"b += {self.name('p', packer.pack)}({', '.join(targets)})")

    def nested(self, base: str, target: str) -> None:
        owner = self.name("m")
        self.flush()
        self.emit(f"{owner} = {target}")
        self.message(base, owner)

    def string(self, target: str) -> None:
        self.length()
        self.emit(f"s = {target}.encode()")
        self.emit("b += L.pack(len(s) + 1)")
        self.emit("b += s")
        self.emit("b += Z[1]")
        self.known = (1, 0)

    def many(self, item: Field, target: str) -> None:
        values = self.name("v")
        self.emit(f"{values} = {target}")
        if item.kind == "sequence":
            self.length()
            self.emit(f"b += L.pack(len({values}))")
            self.known = (4, 0)
        else:
            self.emit(
                f"if len({values}) != {item.size}: raise ValueError('{item.name}: not {item.size} long')"
            )
        if item.nested or item.base == "string":
            element = self.name("e")
            self.loop(f"for {element} in {values}:", lambda: self.field(Field("", item.base), element))
            return
        size = struct.calcsize(FORMATS[item.base])
        if size > self.known[0] or self.known[1] % size:
            self.emit(f"if len({values}):")
            self.depth += 1
            self.emit_align(size)
            self.depth -= 1
        plain = {"bool": f"bytes({values})", "byte": f"b''.join({values})"}
        self.emit(
            f"b += {plain.get(item.base, values if item.kind == 'sequence' else values + '.tobytes()')}"
        )
        self.known = (size if item.kind == "array" else min(size, 4), 0)


class _Reader(_Generator):
    def emit_align(self, size: int) -> None:
        self.emit(f"p = (p + {size - 1}) & {-size}")

    def emit_run(self, packer: struct.Struct, targets: list[str]) -> None:
        self.emit(
            f"{', '.join(targets)}{',' if targets else '_'} = {self.name('u', packer.unpack_from)}(d, p)"
        )
        self.emit(f"p += {packer.size}")

    def nested(self, base: str, target: str) -> None:
        owner = self.name("m")
        self.flush()
        self.emit(f"{owner} = {target} = new({self.name('c', self.class_of(base))})")
        self.message(base, owner)

    def string(self, target: str) -> None:
        self.length()
        self.emit("n, = L.unpack_from(d, p)")
        self.emit(f"{target} = str(d[p + 4:p + 3 + n], 'utf-8', 'replace') if n else ''")
        self.emit("p += 4 + n")
        self.known = (1, 0)

    def many(self, item: Field, target: str) -> None:
        count = self.name("n")
        if item.kind == "sequence":
            self.length()
            self.emit(f"{count}, = L.unpack_from(d, p)")
            self.emit("p += 4")
            self.known = (4, 0)
        else:
            self.emit(f"{count} = {item.size}")
        if item.nested or item.base == "string":
            values, element = self.name("v"), self.name("e")
            self.emit(f"{values} = []")

            def body() -> None:
                self.field(Field("", item.base), element)
                self.flush()
                self.emit(f"{values}.append({element})")

            self.loop(f"for _ in range({count}):", body)
            self.emit(f"{target} = {values}")
            return
        size = struct.calcsize(FORMATS[item.base])
        if size > self.known[0] or self.known[1] % size:
            self.emit(f"if {count}: p = (p + {size - 1}) & {-size}")
        self.emit(f"s = d[p:p + {count} * {size}]")
        self.emit(f"p += {count} * {size}")
        if item.base == "bool":
            self.emit(f"{target} = [x != 0 for x in s]")
        elif item.base == "byte":
            self.emit(f"{target} = [bytes((x,)) for x in s]")
        elif item.kind == "array":
            dtype = self.name("t", np.dtype(FORMATS[item.base]))
            self.emit(f"{target} = np.frombuffer(s, {dtype}).copy()")
        else:
            self.emit(f"a = A('{FORMATS[item.base]}')")
            self.emit("a.frombytes(s)")
            self.emit(f"{target} = a")
        self.known = (size if item.kind == "array" else min(size, 4), 0)


def make_writer(name: str, class_of: Callable[[str], type]) -> Callable[[Any, bytearray], None]:
    """`write(message, buffer)` appends the body of message `name`; len(buffer) must be a multiple of 8."""
    generator = _Writer(class_of)
    generator.message(name, "m")
    return generator.compile("m, b", "return")


def make_reader(name: str, class_of: Callable[[str], type]) -> Callable[[memoryview, int], tuple[Any, int]]:
    """`read(body, position)` returns a message and the position after it; struct.error or ValueError on
    rubbish."""
    generator = _Reader(class_of)
    generator.emit(f"m = new({generator.name('c', class_of(name))})")
    generator.message(name, "m")
    generator.flush()
    generator.emit("if p > len(d): raise ValueError(f'message ends at {p}, data at {len(d)}')")
    return generator.compile("d, p", "return m, p")
