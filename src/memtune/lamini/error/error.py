"""The reference's error classes, by its names."""

from __future__ import annotations


class LaminiError(Exception):
    """Anything that went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message)


class ProjectNotFoundError(LaminiError):
    """A project or data set that is not there."""


class DuplicateResourceError(LaminiError):
    """A name that is taken."""


class ModelNotFoundError(LaminiError):
    """A model that is not there."""


class APIError(LaminiError):
    """Any other failure."""


class JobNotFoundError(APIError):
    """A job, or a request, that is not there. The reference's client raises its parent for it."""


class AuthenticationError(LaminiError):
    """A key that is missing or wrong."""


class RateLimitError(LaminiError):
    """Too many requests at a time."""


class UserError(LaminiError):
    """A request that makes no sense."""


class APIUnprocessableContentError(LaminiError):
    """A request in a form that the server does not know."""


class UnavailableResourceError(LaminiError):
    """Something that cannot be used at the moment."""


class ServerTimeoutError(LaminiError):
    """The server did not answer in time."""


class DownloadingModelError(LaminiError):
    """A model that is still on its way."""


class RequestTimeoutError(LaminiError):
    """A request that took too long."""


class OutdatedServerError(LaminiError):
    """A server that is older than its client."""


_BY_STATUS: dict[int, type[LaminiError]] = {
    400: UserError,
    401: AuthenticationError,
    404: JobNotFoundError,
    422: UserError,
    429: RateLimitError,
    497: DuplicateResourceError,
    499: ProjectNotFoundError,
    503: UnavailableResourceError,
    513: DownloadingModelError,
    524: RequestTimeoutError,
    594: ModelNotFoundError,
}


def error_for(status: int, detail: str) -> LaminiError:
    """The error that the reference's client raises for a status."""
    return _BY_STATUS.get(status, APIError)(detail)
