"""What goes wrong, said to people in a sentence and to programs in a code."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why something was not scored or not decided; programs go by this, and never by the words of the sentence."""

    OTHER = ""
    NO_FACE = "no face"
    POOR_PHOTO = "poor photo"
    GROUP = "group not calibrated"
    SPREAD = "score varies"
    PAUSED = "paused"


class Refused(ValueError):
    """A sentence for the user, told apart from a decoder's own ValueError; `code` says what kind of reason it is."""

    def __init__(self, sentence: str, code: Code = Code.OTHER) -> None:
        super().__init__(sentence)
        self.code = code


def code_of(error: Exception) -> Code:
    """Return the code of an error; OTHER for one that has none."""
    return error.code if isinstance(error, Refused) else Code.OTHER
