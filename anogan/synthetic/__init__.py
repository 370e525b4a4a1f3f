"""Images with known anomalies: brain MR series for the demo, tiny discs for tests."""

from anogan.synthetic.brain import write_phantom
from anogan.synthetic.tiny import tiny_images, write_tiny

__all__ = ["tiny_images", "write_phantom", "write_tiny"]
