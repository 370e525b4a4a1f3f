"""The detector: everything frozen together; a scan in, a result out."""

from anogan.detector.detector import Detector

__all__ = ["Detector"]
