"""A server that does the work."""

from __future__ import annotations

import importlib
import json
import logging
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from memtune.errors import ExtraMissing
from memtune.lamini.error import APIError, AuthenticationError, RequestTimeoutError, UnavailableResourceError, error_for
from memtune.lamini.link import Row

_CLIENT = "3.4.6"
_SECONDS = 600.0
_PIECE = 1 << 16
_log = logging.getLogger("memtune.lamini")


class Remote:
    """The reference's protocol over HTTP."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url, self._key = url, key
        try:
            self._httpx: Any = importlib.import_module("httpx")
        except ImportError:
            raise ExtraMissing("httpx", "serve") from None
        self._client: Any = self._httpx.Client(base_url=url, timeout=_SECONDS)
        weakref.finalize(self, self._client.close)

    def complete(self, body: Mapping[str, Any]) -> Any:
        return self._post("/v1/completions", body)

    def upload(self, rows: Iterable[Row], is_public: bool | None) -> dict[str, Any]:
        base = self._get("/v1/get-upload-base-path")["upload_base_path"]
        given = {} if is_public is None else {"is_public": is_public}
        content = _pieces(_written({"upload_base_path": base, **given}, rows))
        return self._call("POST", "/v1/local-data", content=content)  # type: ignore[no-any-return]

    def train(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._post("/v1/train", body)  # type: ignore[no-any-return]

    def jobs(self) -> list[dict[str, Any]]:
        return self._get("/v1/train/jobs")  # type: ignore[no-any-return]

    def job(self, job_id: int) -> dict[str, Any]:
        return self._get(f"/v1/train/jobs/{job_id}")  # type: ignore[no-any-return]

    def evaluate(self, job_id: int) -> dict[str, Any]:
        return self._get(f"/v1/train/jobs/{job_id}/eval")  # type: ignore[no-any-return]

    def cancel(self, job_id: int) -> dict[str, Any]:
        return self._post(f"/v1/train/jobs/{job_id}/cancel", {})  # type: ignore[no-any-return]

    def cancel_all(self) -> dict[str, Any]:
        return self._post("/v1/train/jobs/cancel", {})  # type: ignore[no-any-return]

    def resume(self, job_id: int) -> dict[str, Any]:
        return self._post(f"/v1/train/jobs/{job_id}/resume", {})  # type: ignore[no-any-return]

    def models(self) -> list[dict[str, Any]]:
        return self._get("/v1alpha/downloaded_models/")  # type: ignore[no-any-return]

    def download(self, model_name: str, model_type: str) -> dict[str, Any]:
        wanted = {"hf_model_name": model_name, "model_type": model_type}
        return self._post("/v1alpha/downloaded_models/", wanted)  # type: ignore[no-any-return]

    def version(self) -> dict[str, Any]:
        return self._get("/v1/version")  # type: ignore[no-any-return]

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, content=json.dumps(body).encode())

    def _call(self, method: str, path: str, content: Any = None) -> Any:
        if not self._key:
            raise AuthenticationError("Missing API Key: pass api_key, or set LAMINI_API_KEY")
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Lamini-Version": _CLIENT,
        }
        try:
            response = self._client.request(method, path, content=content, headers=headers)
        except self._httpx.TimeoutException:
            raise RequestTimeoutError(f"{self.url} did not answer in time") from None
        except self._httpx.HTTPError as fault:
            raise UnavailableResourceError(f"{self.url} cannot be reached: {fault}") from None
        if warning := response.headers.get("X-Warning"):
            _log.warning("%s", warning)
        if response.status_code != 200:
            raise error_for(response.status_code, _detail(response))
        try:
            return response.json()
        except ValueError:
            raise APIError(f"{self.url} did not answer with JSON") from None


def _detail(response: Any) -> str:
    """What the server says of its refusal."""
    try:
        body = response.json()
    except ValueError:
        body = None
    told = body.get("detail") if isinstance(body, dict) else None
    return str(told) if told else f"the server answered {response.status_code}"


def _written(first: Mapping[str, Any], rows: Iterable[Row]) -> Iterator[str]:
    """A JSON object with these members and the rows as `data`, never all of it at once."""
    yield json.dumps(dict(first))[:-1] + ', "data": ['
    for number, row in enumerate(rows):
        yield (", " if number else "") + json.dumps(row)
    yield "]}"


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _PIECE:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    yield "".join(waiting).encode()
