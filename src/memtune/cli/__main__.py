"""`python -m memtune.cli` is the command `memtune`."""

from memtune.cli.entry import main

main()
