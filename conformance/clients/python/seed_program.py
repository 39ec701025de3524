"""Takes a program out of a stored documentation page, with other addresses and keys.

The page is not part of this repository: it is read where it lies.
"""

import os

from steps import SEEDS


def read_seed(number):
    for name in sorted(os.listdir(SEEDS)):
        if name.startswith(f"{number}_"):
            with open(os.path.join(SEEDS, name), encoding="utf-8") as page:
                return page.read()
    raise AssertionError(f"no page {number} in {SEEDS}")


def between(text, start, end):
    assert start in text, f"the page does not contain {start!r}"
    rest = text[text.index(start) :]
    assert end in rest, f"the page does not contain {end!r}"
    return rest[: rest.index(end)]


def substitute(program, replacements):
    for old, new in replacements.items():
        assert old in program, f"the program does not contain {old!r}"
        program = program.replace(old, new)
    return program
