"""The reference's protocol, as the unmodified `lamini` package speaks it.

`routes.py` is HTTP; all the rest knows nothing of it, so that `memtune.lamini` does the same work without a server.
"""
