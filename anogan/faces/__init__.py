"""Portraits: where a face is, and whether its photo fits a document."""
