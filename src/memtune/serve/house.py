"""All that a server holds, apart from HTTP: memories, the desk where questions are taken, keys, uploads and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from memtune.backbones.loading import load_backbone
from memtune.config import DEFAULT_MODEL, Config
from memtune.serve.database import Database
from memtune.serve.desk import Desk
from memtune.serve.files import Files
from memtune.serve.jobs import Jobs
from memtune.serve.keys import Keys
from memtune.serve.shelf import Shelf


class House:
    """One data folder, opened. Used by the routes, and by `memtune.lamini` without any server."""

    def __init__(
        self,
        data: Path,
        config: Config | None = None,
        *,
        model: str = DEFAULT_MODEL,
        aliases: Mapping[str, str] | None = None,
        memories: Mapping[str, Path] | None = None,
    ) -> None:
        data = data.absolute()
        self.data, self.config = data, config or Config()
        (data / "memories").mkdir(parents=True, exist_ok=True)
        self.database = Database(data / "server.sqlite")
        self.keys = Keys(self.database)
        self.files = Files(self.database, data / "files", self.config.serve.max_upload)
        self.jobs = Jobs(self.database, data, self.config)
        self.shelf = Shelf(data / "memories", self.config, load_backbone, model=model, aliases=aliases, named=memories)
        self.desk = Desk(self.shelf, self.config)

    def start(self) -> None:
        """Begin to work: jobs that were broken off go on."""
        self.desk.warm_up()
        self.files.sweep()
        self.jobs.start()

    def close(self) -> None:
        self.jobs.stop()
        self.desk.close()
        self.shelf.close()
        self.database.close()
