"""A result as DICOM objects of its study: segmentation, parametric map, structured report, secondary capture."""

from anogan.io.derived.write import KINDS, write_derived

__all__ = ["KINDS", "write_derived"]
