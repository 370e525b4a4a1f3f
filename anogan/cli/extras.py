"""Which part of the package a library belongs to that is not installed."""

from __future__ import annotations

import importlib.util

# The libraries that a command imports first, by the name under which they are imported.
EXTRAS = {
    "pydicom": "dicom",
    "highdicom": "dicom",
    "dicomanonymizer": "dicom",
    "nibabel": "dicom",
    "nilearn": "dicom",
    "mtcnnruntime": "faces",
    "sqlalchemy": "desk",
    "alembic": "desk",
    "psycopg": "desk",
    "streamlit": "dashboard",
    "plotly": "dashboard",
    "fastapi": "api",
    "starlette": "api",
    "uvicorn": "api",
    "limits": "api",
    "prometheus_client": "api",
    "pynetdicom": "pacs",
    "dicomweb_client": "pacs",
    "requests": "pacs",
}
"""The extra of each."""


def missing(error: ModuleNotFoundError) -> str:
    """Say in one sentence which extra to install; "" where the module is none of an extra: that is a fault of ours."""
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return ""
    extra = EXTRAS[library]
    return f"this needs {library}, which is not installed: pip install 'anogan[{extra}]' (or anogan[all])"


def need(library: str) -> None:
    """Raise ModuleNotFoundError where a library of an extra is not installed, before work begins that ends in it."""
    if importlib.util.find_spec(library) is None:
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)
