"""`python -m anogan` is the command `anogan`."""

from anogan.cli import main

main()
