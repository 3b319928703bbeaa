"""`Lamini`: the reference's class, with its methods and arguments."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from memtune.lamini.address import find_key, find_url
from memtune.lamini.error import UserError
from memtune.lamini.files import rows_of
from memtune.lamini.link import Link, Row
from memtune.lamini.remote import Remote

_OVER = ("COMPLETED", "PARTIALLY COMPLETED", "FAILED", "CANCELLED", "TIMED OUT")
_POLL_SECONDS = 1.0
_log = logging.getLogger("memtune.lamini")


class ModelType(enum.Enum):
    transformer = "transformer"
    embedding = "embedding"


class DownloadedModel:
    """A model that can be used; what is known of it are its attributes."""

    model_name: str | None = None
    model_type: str | None = None
    is_public: bool | None = None
    status: str | None = None

    def __init__(self, **known: Any) -> None:
        self.__dict__.update(known)

    def __repr__(self) -> str:
        return f"<DownloadedModel({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})>"


class Lamini:
    """Tune a model on data and ask it, as code written for the reference does.

    >>> llm = Lamini(model_name="bundled")
    >>> job = llm.train_and_wait([{"input": "What does the Zorblat cost?", "output": "40 dollars"}])
    >>> llm.generate("What does the Zorblat cost?", model_name=job["model_name"])
    '40 dollars'
    """

    def __init__(
        self,
        model_name: str,
        api_key: str | None = None,
        api_url: str | None = None,
        model_type: ModelType = ModelType.transformer,
        local_cache_file: str | None = None,
        *,
        data: str | os.PathLike[str] | None = None,
    ) -> None:
        """With an address, given or configured, a server does the work, else this process, in the folder `data`."""
        self.model_name, self.model_type = model_name, model_type
        self.api_url = find_url(api_url)
        self.api_key = find_key(api_key)
        self.job_id: int | None = None
        self._link: Link = Remote(self.api_url, self.api_key) if self.api_url else _here(data)
        if local_cache_file is not None:
            _log.warning("local_cache_file has no effect: the same prompt gets the same reply")

    # ---- asking -------------------------------------------------------------------------------------------------

    def generate(
        self,
        prompt: str | list[str],
        model_name: str | None = None,
        output_type: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        max_new_tokens: int | None = None,
        callback: Callable[[Any], None] | None = None,
        metadata: Any = None,
    ) -> Any:
        """The reply to a prompt, or to each of a list; with `output_type` as an object of that form.

        `callback` is called with the result; `metadata` is accepted and not used.
        """
        body = {"model_name": model_name or self.model_name, "prompt": prompt, "output_type": output_type}
        found = self._link.complete({**body, "max_tokens": max_tokens, "max_new_tokens": max_new_tokens})
        if output_type is None:
            found = [one["output"] for one in found] if isinstance(prompt, list) else found["output"]
        if callback is not None:
            callback(found)
        return found

    async def async_generate(self, prompt: str | list[str], **how: Any) -> Any:
        """`generate` for programs that wait for many things at one time."""
        return await asyncio.to_thread(lambda: self.generate(prompt, **how))

    # ---- data ---------------------------------------------------------------------------------------------------

    def upload_data(self, data: Iterable[Row], is_public: bool | None = None) -> str:
        """Keep rows with an `input` and an `output`; returns the id of the data set."""
        if not data:
            raise ValueError("there is no data to upload")
        kept = self._link.upload(data, is_public)
        _log.info("the data set is '%s'", kept["dataset_id"])
        return str(kept["dataset_id"])

    def upload_file(
        self, file_path: str | os.PathLike[str], input_key: str = "input", output_key: str = "output"
    ) -> str:
        return self.upload_data(rows_of(file_path, input_key, output_key))

    # ---- training -----------------------------------------------------------------------------------------------

    def train(
        self,
        data_or_dataset_id: str | Iterable[Row],
        finetune_args: Mapping[str, Any] | None = None,
        gpu_config: Mapping[str, Any] | None = None,
        is_public: bool | None = None,
        custom_model_name: str | None = None,
        train_type: str | None = None,
        use_cached_model: bool | None = None,
    ) -> dict[str, Any]:
        """Queue a job that learns the data, and return at once.

        Each job on a model makes a memory of its own, so `use_cached_model` changes nothing.
        """
        known = isinstance(data_or_dataset_id, str)
        dataset_id = str(data_or_dataset_id) if known else self.upload_data(data_or_dataset_id)  # type: ignore[arg-type]
        job = self._link.train(
            {
                "model_name": self.model_name,
                "dataset_id": dataset_id,
                "finetune_args": finetune_args,
                "gpu_config": gpu_config,
                "is_public": is_public,
                "custom_model_name": custom_model_name,
                "train_type": train_type,
            }
        )
        self.job_id = int(job["job_id"])
        _log.info("job %s was submitted", self.job_id)
        return {**job, "dataset_id": dataset_id}

    tune = train

    def train_and_wait(self, data_or_dataset_id: str | Iterable[Row], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The same, until the job is over; interrupted, the job is cancelled. `verbose` tells how it goes."""
        verbose = kwargs.pop("verbose", False)
        job_id = self.train(data_or_dataset_id, *args, **kwargs)["job_id"]
        try:
            while (status := self.check_job_status(job_id))["status"] not in _OVER:
                if verbose:
                    _log.warning("job %s: %s", job_id, status["status"])
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            _log.warning("cancelling job %s; what it has learned so far stays", job_id)
            self.cancel_job(job_id)
            while (status := self.check_job_status(job_id))["status"] not in _OVER:
                time.sleep(_POLL_SECONDS)
            return status
        if status["status"] == "FAILED":
            _log.error("job %s failed: %s", job_id, status.get("error"))
        return status

    tune_and_wait = train_and_wait

    def check_job_status(self, job_id: int | str | None = None) -> dict[str, Any]:
        return self._link.job(self._number(job_id))

    def get_jobs(self) -> list[dict[str, Any]]:
        return self._link.jobs()

    def cancel_job(self, job_id: int | str | None = None) -> dict[str, Any]:
        return self._link.cancel(self._number(job_id))

    def cancel_all_jobs(self) -> dict[str, Any]:
        return self._link.cancel_all()

    def resume_job(self, job_id: int | str | None = None) -> dict[str, Any]:
        return self._link.resume(self._number(job_id))

    def evaluate(self, job_id: int | str | None = None) -> dict[str, Any]:
        """Rows of a job's data, answered by the model alone and with what was learned."""
        return self._link.evaluate(self._number(job_id))

    def _number(self, job_id: int | str | None) -> int:
        """The job that is meant; without any, the last one that was started here."""
        wanted = self.job_id if job_id is None else job_id
        try:
            return int(wanted)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise UserError(f"'{wanted}' is not the number of a job") from None

    # ---- models -------------------------------------------------------------------------------------------------

    def list_models(self) -> list[DownloadedModel]:
        return [DownloadedModel(**known) for known in self._link.models()]

    def download_model(
        self,
        model_name: str | None = None,
        model_type: ModelType | None = None,
        wait: bool = False,
        wait_time_seconds: int = 60,
    ) -> DownloadedModel:
        """A model that is there; nothing is waited for, since none is downloaded behind the caller's back."""
        kind = model_type or self.model_type
        return DownloadedModel(**self._link.download(model_name or self.model_name, kind.value))

    def version(self) -> dict[str, Any]:
        return self._link.version()


def _here(data: str | os.PathLike[str] | None) -> Link:
    from memtune.lamini.here import Here  # brings torch along, which a client of a server does not need

    return Here(data)
