"""The adversarial networks, what teaches them, and what they make: knows nothing of files or decisions."""
