"""OpenAI's protocol, as the unmodified `openai` package speaks it.

`fields.py` is what a request may say; `replies.py`, `chunks.py` and `shapes.py` are what it gets back, `results.py`
jobs as OpenAI's objects; `running.py` holds answers on their way. The other modules hold the routes.
"""
