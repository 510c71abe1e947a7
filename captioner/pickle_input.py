"""The part of the pickle machine that reads values from the file onto a stack, within memory limits."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from captioner.pickle_values import BadPickleError, Stretch

LAZY_BYTES = 256  # longer texts stay in the file until they are needed
LINE_BYTES = 4096  # maximum length of a line with a number or name
MAX_MARKS = 1000
MAX_INTEGER_BYTES = 16
FREE_BYTES = 100 * 10**6
COST = 64  # approximate size of a small object in bytes


class PickleInput:
    """A pickle's file, and the stack of values read from it.

    The values never take more than `FREE_BYTES` plus three times the file's size.

    Args:
        file: open for reading bytes, at the pickle's beginning.
        size: size of the file in bytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._left = FREE_BYTES + 3 * size

    # reading

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise BadPickleError("it is truncated")
        return data

    def _line(self) -> bytes:
        line = self._file.readline(LINE_BYTES)
        if not line.endswith(b"\n"):
            raise BadPickleError("it is truncated" if len(line) < LINE_BYTES else "it contains a line that is too long")
        return line[:-1]

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _charge(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise BadPickleError("it requires far more memory than a file of its size needs")

    def _push(self, value: Any) -> None:
        self._charge(COST)
        self._stack.append(value)

    def _mark(self) -> None:
        if len(self._marks) >= MAX_MARKS:
            raise BadPickleError("it is nested too deep")
        self._marks.append(len(self._stack))

    def _pop_mark(self) -> list[Any]:
        place = self._marks.pop()
        if place > len(self._stack):
            raise BadPickleError("it removes more values than it contains")
        items = self._stack[place:]
        del self._stack[place:]
        return items

    # numbers, texts, bytes

    def _long_text(self, count: int, coding: str) -> None:
        start = self._file.tell()
        if count < 0 or count > self._size - start:
            raise BadPickleError("it is truncated, or claims more bytes than the file has")
        self._file.seek(start + count)
        self._push(Stretch(start, count, coding))

    def _bytes(self, form: str) -> None:
        count = self._number(form)
        if count > LAZY_BYTES or count < 0:
            self._long_text(count, "raw")
        else:
            self._push(self._take(count))

    def _text(self, form: str) -> None:
        count = self._number(form)
        if count > LAZY_BYTES or count < 0:
            self._long_text(count, "text")
        else:
            self._push(self._take(count).decode())

    def _text_line(self) -> None:
        start, line = self._file.tell(), self._file.readline()
        if not line.endswith(b"\n"):
            raise BadPickleError("it is truncated")
        if len(line) > LAZY_BYTES:
            self._push(Stretch(start, len(line) - 1, "line"))
        else:
            self._push(line[:-1].decode("raw-unicode-escape"))

    def _quoted_line(self) -> None:
        start, line = self._file.tell(), self._file.readline()
        quoted = line.rstrip()
        if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in (b"'", b'"'):
            raise BadPickleError("it is truncated, or a text in it is not quoted")
        stretch = Stretch(start + 1, len(quoted) - 2, "quoted")
        self._push(stretch if len(line) > LAZY_BYTES else stretch.decode(quoted[1:-1]))

    def _decimal(self) -> None:
        line = self._line().removesuffix(b"L")
        if line in (b"00", b"01"):  # how protocol 0 writes False and True
            self._push(line == b"01")
        elif len(line) <= 3 * MAX_INTEGER_BYTES:
            self._push(int(line))
        else:
            raise BadPickleError("a number in it has too many digits")

    def _long(self, form: str) -> None:
        count = self._number(form)
        if not 0 <= count <= MAX_INTEGER_BYTES:
            raise BadPickleError("a number in it has too many digits")
        self._push(int.from_bytes(self._take(count), "little", signed=True))
