"""All routes of the protocol."""

from __future__ import annotations

from memtune.serve.openai import chat, completions, embeddings, files, models, tuning

routers = [part.router for part in (chat, completions, embeddings, models, files, tuning)]
