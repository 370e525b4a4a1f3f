"""A result as DICOM objects of its study: segmentation, parametric map, structured report, secondary capture."""

from anogan.results.dicom.identity import Verification
from anogan.results.dicom.write import KINDS, write_derived

__all__ = ["KINDS", "Verification", "write_derived"]
