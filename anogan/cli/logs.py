"""The log of a server that others can reach: each record on one line, nothing in it acts, no address names anybody."""

from __future__ import annotations

import logging
import re
from typing import Any

from anogan.cli.console import VisibleFormatter

_OURS = re.compile(r"/(v1/screenings(/[0-9a-f]{16}(/heatmap)?)?|healthz|readyz|metrics|docs|openapi\.json)?")
_LINE = {"()": VisibleFormatter, "fmt": "%(asctime)s %(levelname)s %(message)s"}


class OwnAddresses(logging.Filter):
    """Keeps out of uvicorn's access log what a client wrote: a query, and any address that is not ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record whose arguments are client, method, address, version and status."""
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, address, *rest = record.args
            path, asked, _ = str(address).partition("?")
            shown = path if _OURS.fullmatch(path) else "(another address)"
            record.args = (client, method, f"{shown}?..." if asked else shown, *rest)
        return True


def server_log() -> dict[str, Any]:
    """Return the settings of the log for uvicorn: its own records and ours, on stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": _LINE},
        "filters": {"addresses": {"()": OwnAddresses}},
        "handlers": {
            "all": {"class": "logging.StreamHandler", "formatter": "line"},
            "access": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["addresses"]},
        },
        "loggers": {
            "uvicorn": {"handlers": ["all"], "level": "INFO", "propagate": False},
            "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
            "anogan": {"handlers": ["all"], "level": "INFO", "propagate": False},
        },
    }
