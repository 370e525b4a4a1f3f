"""The dashboard: one module per page, each with one function `page`, and what the pages share.

`run_folder` reads the files of a run, `charts` draws, `widgets` holds the words and panels that several pages show,
`case_view` shows one judged image and is used by both the case page and the upload page.
"""
