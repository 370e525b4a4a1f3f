"""What removes people: de-identification and erasure."""
