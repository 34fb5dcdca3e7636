"""Terminals for tests: a pseudo-terminal, and a screen that shows what is written to it."""

import fcntl
import io
import os
import re
import struct
import termios

import pyte

LINES = 60  # more than any test writes


class Terminal(io.StringIO):
    """A stream to a pseudo-terminal of a given width, and a screen that shows what is written to it.

    Args:
        columns: its width.
        screen: `Cutting` or `Wrapping`: what becomes of rows that are longer than a new width.
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
        self._screen.feed(text.replace("\n", "\r\n"))  # as the driver of a terminal does
        return len(text)

    def lines(self):
        """Return the rows on the screen that are not empty, without blanks at their ends."""
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


class Wrapping:
    """A screen that wraps its lines to a new width; the cursor stays at its character."""

    def __init__(self, columns):
        self._columns = columns
        self._lines = [""]
        self._line = self._column = 0  # of the cursor; a column may lie beyond the width

    def resize(self, columns):
        self._columns = columns

    def rows(self):
        return [
            line[k : k + self._columns] for line in self._lines for k in range(0, len(line), self._columns)
        ]

    def feed(self, text):
        for part in re.findall(r"\x1b\[\w|[\r\n]|[^\x1b\r\n]+", text):
            line = self._lines[self._line]
            if part == "\r":
                self._column -= self._column % self._columns  # of the row, not of the line
            elif part == "\n":
                self._line += 1
                self._lines += [""] * (self._line == len(self._lines))
            elif part == "\x1b[A":
                self._line -= 1
                assert len(self._lines[self._line]) <= self._columns, "the row above is of a wrapped line"
            elif part == "\x1b[J":
                self._lines[self._line :] = [line[: self._column]]
            else:
                end = self._column + len(part)
                self._lines[self._line] = line[: self._column].ljust(self._column) + part + line[end:]
                self._column = end
