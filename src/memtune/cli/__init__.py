"""The command line: one short function per command, and nothing that the library could not do as well."""

from memtune.cli.entry import app, main

__all__ = ["app", "main"]
