"""Images with known anomalies: brain MR series for the demo, drawn portraits, tiny discs for tests."""

from anogan.data.synthetic.brain import write_phantom
from anogan.data.synthetic.portrait import draw_portrait, write_portraits
from anogan.data.synthetic.tiny import tiny_images, write_tiny

__all__ = ["draw_portrait", "tiny_images", "write_phantom", "write_portraits", "write_tiny"]
