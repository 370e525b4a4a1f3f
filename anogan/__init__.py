"""Image anomaly detection with GANs: learn what healthy looks like, then show where a new image differs.

The public names load on first use, because torch alone takes seconds to import:

>>> import anogan
>>> config = anogan.load_config("blood-smear")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anogan._version import __version__

if TYPE_CHECKING:
    from anogan.config import Config, load_config, profile_names
    from anogan.data.dataset import Item, ScanSet, Splits, open_dataset, open_healthy
    from anogan.detector import Detector
    from anogan.detector.calibration import Calibration
    from anogan.evaluation import Report, evaluate
    from anogan.gan.training import TrainingEvent
    from anogan.io import find_images, read_scan, read_series
    from anogan.results.heatmap import overlay
    from anogan.scan import Result, Scan, Series, SeriesResult

__all__ = [
    "Calibration",
    "Config",
    "Detector",
    "Item",
    "Report",
    "Result",
    "Scan",
    "ScanSet",
    "Series",
    "SeriesResult",
    "Splits",
    "TrainingEvent",
    "__version__",
    "evaluate",
    "find_images",
    "load_config",
    "open_dataset",
    "open_healthy",
    "overlay",
    "profile_names",
    "read_scan",
    "read_series",
]

_HOME = {
    "Calibration": "detector.calibration",
    "Config": "config",
    "Detector": "detector",
    "Item": "data.dataset",
    "Report": "evaluation",
    "Result": "scan",
    "Scan": "scan",
    "ScanSet": "data.dataset",
    "Series": "scan",
    "SeriesResult": "scan",
    "Splits": "data.dataset",
    "TrainingEvent": "gan.training",
    "evaluate": "evaluation",
    "find_images": "io",
    "load_config": "config",
    "open_dataset": "data.dataset",
    "open_healthy": "data.dataset",
    "overlay": "results.heatmap",
    "profile_names": "config",
    "read_scan": "io",
    "read_series": "io",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'anogan' has no attribute {name!r}")
    value = getattr(import_module(f"anogan.{_HOME[name]}"), name)
    globals()[name] = value  # the next use is a plain look-up
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
