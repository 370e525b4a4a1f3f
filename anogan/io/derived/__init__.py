"""A result as DICOM objects of its study: segmentation, parametric map, structured report, secondary capture."""

from anogan.io.derived.marks import Verification
from anogan.io.derived.write import KINDS, write_derived

__all__ = ["KINDS", "Verification", "write_derived"]
