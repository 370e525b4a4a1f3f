"""What goes wrong, said to people."""


class Refused(ValueError):
    """A sentence for the user, told apart from a decoder's own ValueError."""
