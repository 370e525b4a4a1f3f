"""The version of the package; apart, so that nothing has to import the public names for it."""

__version__ = "0.1.0"
