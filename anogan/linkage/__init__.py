"""Linkage: the same photo, the same picture of a face, or the same background in several submissions.

Near-duplicates of pictures are found, not persons: two photos of one person taken on two days are not linked. Only
hashes are kept, which is still personal data, because they tell that two submissions belong together.
"""

from anogan.linkage.linkage import Link, Linkage, in_words
from anogan.linkage.prints import Code, Prints, features_of, make_prints
from anogan.linkage.thresholds import Thresholds

__all__ = ["Code", "Link", "Linkage", "Prints", "Thresholds", "features_of", "in_words", "make_prints"]
