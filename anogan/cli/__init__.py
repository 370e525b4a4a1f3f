"""The commands: `anogan --help`.

Exit codes: 0 done; 1 the data or the model is at fault, or an image was not scored; 2 wrong usage; 130 interrupted.
Everything heavy is imported inside the commands, because `anogan --help` must not wait for torch.
"""

from anogan.cli import (
    data,
    dicom,
    feedback,
    link,
    pacs,
    privacy,
    review,
    serve,
    training,
    use,
    validation,
    watch,
)  # each adds its commands, in this order
from anogan.cli.app import app, main

__all__ = [
    "app",
    "data",
    "dicom",
    "feedback",
    "link",
    "main",
    "pacs",
    "privacy",
    "review",
    "serve",
    "training",
    "use",
    "validation",
    "watch",
]
