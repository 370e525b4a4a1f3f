"""The release self-test: does a detector find what was put into healthy images it has not seen, and is it quiet else?

`measure` runs it, `chart` draws it, and `verdict` reads what a run folder says of it, without torch.
"""
