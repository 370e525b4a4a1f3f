"""Training: the networks learn from healthy images, and the run says whether it still gets anywhere."""

from anogan.gan.training.event import Callback, TrainingEvent
from anogan.gan.training.trainer import PHASES, Trainer, train

__all__ = ["PHASES", "Callback", "Trainer", "TrainingEvent", "train"]
