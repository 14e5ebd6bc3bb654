"""Ids of people."""

import random
import string

LETTERS = 5


class PersonIds:
    """Five letters at random, never the same twice. seed: 0 for other ids at every start."""

    def __init__(self, seed: int = 0):
        self._random, self._given = random.Random(seed or None), set[str]()

    def new(self) -> str:
        """An id that has not been given."""
        while True:
            made = "".join(self._random.choices(string.ascii_lowercase, k=LETTERS))
            if made not in self._given:
                self._given.add(made)
                return made
