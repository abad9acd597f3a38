# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mistakes of tests/claims/mistakes, as data."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent


class Mistake:
    """A wrong piece of code, and the test that finds it."""

    def __init__(self, block):
        lines = block.splitlines()
        self.name, self.file = lines[0].split()
        self.program, self.path = lines[1].split()
        self.old = ''.join(line[2:] + '\n' for line in lines[2:]
                           if line.startswith('- '))
        self.new = ''.join(line[2:] + '\n' for line in lines[2:]
                           if line.startswith('+ '))

    def fits(self, text):
        """Whether its code is there, and in one place only."""
        return text.count(self.old) == 1

    def apply(self, text):
        return text.replace(self.old, self.new)


def load():
    text = (HERE / 'mistakes').read_text(encoding='utf-8')
    text = re.sub(r'^#.*\n', '', text, flags=re.M)
    return [Mistake(block) for block in re.split(r'\n\n+', text.strip())]
