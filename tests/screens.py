"""Terminals to look at: a real pseudo-terminal, and what stands on the screen behind it."""

import fcntl
import io
import os
import re
import struct
import termios

import pyte

LINES = 60  # more than any test writes; all are looked at each time


class Terminal(io.StringIO):
    """A stream to a pseudo-terminal of a given width, and a screen that shows what comes out of it.

    Args:
        columns: its width.
        screen: `Cutting` or `Breaking`: what becomes of rows that are longer than a new width.
    """

    encoding = "utf-8"  # so that bars are drawn in blocks

    def __init__(self, columns, screen):
        super().__init__()
        self._main, self._side = os.openpty()
        self._screen = screen(columns)
        self.resize(columns)

    def isatty(self):
        return True

    def fileno(self):
        return self._side

    def resize(self, columns):
        self._screen.resize(columns)
        fcntl.ioctl(self._side, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))

    def write(self, text):
        data, shown = text.encode(), b""
        for start in range(0, len(data), 512):  # as little as has room in between
            part = data[start : start + 512]
            os.write(self._side, part)
            due = len(shown) + len(part) + part.count(b"\n")  # each is made a carriage return, too
            while len(shown) < due:
                shown += os.read(self._main, due - len(shown))
        self._screen.feed(shown.decode())
        return len(text)

    def lines(self):
        """The rows on the screen, without blanks at the end, that are not empty."""
        return [row.rstrip() for row in self._screen.rows() if row.strip()]

    def hang_up(self):
        os.close(self._main)
        os.close(self._side)


class Cutting:
    """A screen that cuts off what a new width has no room for."""

    def __init__(self, columns):
        self._screen = pyte.Screen(columns, LINES)
        self.feed = pyte.Stream(self._screen).feed

    def resize(self, columns):
        self._screen.resize(columns=columns)

    def rows(self):
        return self._screen.display


class Breaking:
    """A screen that breaks its rows anew to a new width, with the cursor where it was in the text."""

    def __init__(self, columns):
        self._columns = columns
        self._lines = [[]]  # of characters; a line is broken into rows where it is too long
        self._line = self._row = self._column = 0  # the cursor, its row counted within the line

    def resize(self, columns):
        self._row, self._column = divmod(self._row * self._columns + self._column, columns)
        self._columns = columns

    def rows(self):
        return ["".join(row) for line in self._lines for row in self._broken(line)]

    def feed(self, text):
        moves = {"\r": self._return, "\n": self._down, "\x1b[A": self._up, "\x1b[J": self._clear}
        for part in re.findall(r"\x1b\[\w|.", text.replace("\t", " "), re.DOTALL):
            moves.get(part, lambda part=part: self._put(part))()

    def _broken(self, line):
        return [line[k : k + self._columns] for k in range(0, max(len(line), 1), self._columns)]

    def _put(self, character):
        assert character.isprintable()
        if self._column == self._columns:
            self._row, self._column = self._row + 1, 0
        at, line = self._row * self._columns + self._column, self._lines[self._line]
        line += " " * (at + 1 - len(line))
        line[at] = character
        self._column += 1

    def _return(self):
        self._column = 0

    def _down(self):
        if self._row + 1 < len(self._broken(self._lines[self._line])):
            self._row += 1
            return
        self._line, self._row = self._line + 1, 0
        self._lines += [[]] * (self._line == len(self._lines))

    def _up(self):
        if self._row > 0:
            self._row -= 1
            return
        self._line -= 1
        self._row = len(self._broken(self._lines[self._line])) - 1

    def _clear(self):
        del self._lines[self._line][self._row * self._columns + self._column :], self._lines[self._line + 1 :]
