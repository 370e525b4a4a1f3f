"""What readers dismissed as a normal variant enters the healthy reference, in a new version of the detector.

Nothing is trained: `novelty` says which patches may enter, `proposal` makes and compares the new detector, `versions`
keeps it beside the one that works until an admin of the desk promotes it.
"""
