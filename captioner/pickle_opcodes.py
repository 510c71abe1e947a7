"""Read pickles by interpreting their opcodes: Python's or NumPy's own unpickler never builds an object.

An allow-list of names does not make unpickling safe, because an allowed name with forged arguments may still crash the
process or run code. This machine supports only plain values: numbers, texts, bytes, tuples, lists, dicts (as pairs) and
names. Subclasses define what calling a name returns.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from captioner.pickle_input import COST, MAX_MARKS, PickleInput
from captioner.pickle_values import BadPickleError, ForeignPickleError, Name, Pairs

MAX_STACK = 100_000  # values; pickle itself writes a few thousand at a time


class PickleMachine(PickleInput):
    """Runs the opcodes of a pickle.

    Args:
        file: open for reading bytes, at the pickle's beginning.
        size: size of the file in bytes.
        names: the allowed (module, name) pairs; others raise `ForeignPickleError`.
    """

    def __init__(self, file: BinaryIO, size: int, names: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(file, size)
        self._names = names
        self._memo: list[Any] = []
        self._steps = 0

    def load(self) -> Any:
        """Return the value; the file's position is then after the pickle.

        Raises:
            BadPickleError: the pickle is broken, or contains something that no such file needs.
        """
        stack, table, read = self._stack, self._TABLE, self._file.read
        try:
            while (opcode := read(1)) != b".":
                self._steps += 1
                table[opcode](self)
                if len(stack) > MAX_STACK:
                    raise BadPickleError("it contains too many values")
            return stack.pop()
        except KeyError:
            fault = f"it contains the unsupported opcode {opcode!r}" if opcode else "it is truncated"
            raise BadPickleError(fault) from None
        except (IndexError, ValueError, TypeError, struct.error, MemoryError, OverflowError) as error:
            raise BadPickleError(f"it is broken near byte {self._file.tell()}") from error

    def call(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        """Return the value of calling `name`, one of the allowed names."""
        raise ForeignPickleError(name.module, name.name)

    def set_state(self, thing: Any, state: Any) -> None:
        """Set the state of `thing`, a value returned by `call`."""
        raise BadPickleError(f"it sets a state of {type(thing).__name__}")

    def persistent(self, key: Any) -> Any:
        """Return the value of a persistent id."""
        raise BadPickleError("it refers to objects outside the file")

    # tuples, lists, dicts

    def _tuple(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, tuple) and any(isinstance(deeper, tuple) for deeper in item):
                raise BadPickleError("it is nested too deep")
        self._charge(8 * len(items))
        self._push(tuple(items))

    def _few(self, count: int) -> None:
        if len(self._stack) < count:
            raise BadPickleError("it removes more values than it contains")
        items = self._stack[-count:]
        del self._stack[-count:]
        self._tuple(items)

    def _list(self, items: list[Any]) -> None:
        self._push([])
        self._append(items)

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise BadPickleError(f"it appends to {type(target).__name__}")
        if any(isinstance(item, list | tuple) and len(item) > MAX_MARKS for item in items):
            raise BadPickleError("it contains lists in lists")
        self._charge(8 * len(items))
        target.extend(items)

    def _dict(self, items: list[Any]) -> None:
        self._push(Pairs())
        self._set(items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not Pairs or len(items) % 2:
            raise BadPickleError(f"it sets items of {type(target).__name__}")
        self._charge(COST * len(items))
        target.extend(zip(items[::2], items[1::2], strict=True))

    # the memo

    def _put(self, place: int) -> None:
        memo = self._memo
        if not 0 <= place <= self._steps:  # each step creates at most one object
            raise BadPickleError("it uses an invalid memo index")
        if place >= len(memo):
            self._charge(8 * (place + 1 - len(memo)))
            memo.extend([None] * (place + 1 - len(memo)))
        memo[place] = self._stack[-1]

    def _memoize(self) -> None:
        self._charge(8)
        self._memo.append(self._stack[-1])

    def _get(self, place: int) -> None:
        if place < 0:
            raise BadPickleError("it uses an invalid memo index")
        self._stack.append(self._memo[place])

    # names and calls

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise BadPickleError("it contains a name that is not text")
        if (module, name) not in self._names:
            raise ForeignPickleError(module, name)
        self._push(Name(module, name))

    def _global(self) -> None:
        module = self._line().decode()
        self._name(module, self._line().decode())

    def _stack_global(self) -> None:
        name = self._stack.pop()
        self._name(self._stack.pop(), name)

    def _reduce(self) -> None:
        arguments = self._stack.pop()
        name = self._stack.pop()
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise BadPickleError(f"it calls {type(name).__name__}")
        self._push(self.call(name, arguments))

    def _build(self) -> None:
        state = self._stack.pop()
        self.set_state(self._stack[-1], state)

    def _persistent(self) -> None:
        self._push(self.persistent(self._stack.pop()))

    def _skip_frame(self) -> None:
        self._number("<Q")

    def _protocol(self) -> None:
        if self._take(1)[0] > 5:
            raise BadPickleError("its protocol is newer than 5")

    _TABLE: ClassVar[dict[bytes, Callable[[Any], Any]]] = {
        b"\x80": _protocol,
        b"\x95": _skip_frame,
        b"(": PickleInput._mark,
        b"0": lambda m: m._stack.pop() if len(m._stack) > (m._marks or [0])[-1] else m._pop_mark(),
        b"1": PickleInput._pop_mark,
        b"2": lambda m: m._stack.append(m._stack[-1]),
        b"N": lambda m: m._stack.append(None),
        b"\x88": lambda m: m._stack.append(True),
        b"\x89": lambda m: m._stack.append(False),
        b"I": PickleInput._decimal,
        b"L": PickleInput._decimal,
        b"J": lambda m: m._push(m._number("<i")),
        b"K": lambda m: m._stack.append(m._take(1)[0]),
        b"M": lambda m: m._push(m._number("<H")),
        b"\x8a": lambda m: m._long("<B"),
        b"\x8b": lambda m: m._long("<i"),
        b"F": lambda m: m._push(float(m._line())),
        b"G": lambda m: m._push(m._number(">d")),
        b"S": PickleInput._quoted_line,
        b"T": lambda m: m._bytes("<i"),
        b"U": lambda m: m._bytes("<B"),
        b"B": lambda m: m._bytes("<I"),
        b"C": lambda m: m._bytes("<B"),
        b"\x8e": lambda m: m._bytes("<Q"),
        b"\x96": lambda m: m._bytes("<Q"),
        b"V": PickleInput._text_line,
        b"X": lambda m: m._text("<I"),
        b"\x8c": lambda m: m._text("<B"),
        b"\x8d": lambda m: m._text("<Q"),
        b")": lambda m: m._push(()),
        b"t": lambda m: m._tuple(m._pop_mark()),
        b"\x85": lambda m: m._few(1),
        b"\x86": lambda m: m._few(2),
        b"\x87": lambda m: m._few(3),
        b"]": lambda m: m._push([]),
        b"l": lambda m: m._list(m._pop_mark()),
        b"a": lambda m: m._append([m._stack.pop()]),
        b"e": lambda m: m._append(m._pop_mark()),
        b"}": lambda m: m._push(Pairs()),
        b"d": lambda m: m._dict(m._pop_mark()),
        b"s": lambda m: m._set([m._stack.pop(-2), m._stack.pop()]),
        b"u": lambda m: m._set(m._pop_mark()),
        b"p": lambda m: m._put(int(m._line())),
        b"q": lambda m: m._put(m._take(1)[0]),
        b"r": lambda m: m._put(m._number("<I")),
        b"\x94": _memoize,
        b"g": lambda m: m._get(int(m._line())),
        b"h": lambda m: m._get(m._take(1)[0]),
        b"j": lambda m: m._get(m._number("<I")),
        b"c": _global,
        b"\x93": _stack_global,
        b"R": _reduce,
        b"b": _build,
        b"Q": _persistent,
    }
