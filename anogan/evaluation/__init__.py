"""A detector over a labeled split: how good is it, with what certainty, and on what was it not tried."""

from anogan.evaluation.measure import Judge, evaluate
from anogan.evaluation.page import PREVALENCES, write_report
from anogan.evaluation.report import OperatingPoint, Report

__all__ = ["PREVALENCES", "Judge", "OperatingPoint", "Report", "evaluate", "write_report"]
