"""What calls of `memtune.lamini` raise."""

from memtune.lamini.error.error import (
    APIError,
    APIUnprocessableContentError,
    AuthenticationError,
    DownloadingModelError,
    DuplicateResourceError,
    JobNotFoundError,
    LaminiError,
    ModelNotFoundError,
    OutdatedServerError,
    ProjectNotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServerTimeoutError,
    UnavailableResourceError,
    UserError,
    error_for,
)

__all__ = [
    "APIError",
    "APIUnprocessableContentError",
    "AuthenticationError",
    "DownloadingModelError",
    "DuplicateResourceError",
    "JobNotFoundError",
    "LaminiError",
    "ModelNotFoundError",
    "OutdatedServerError",
    "ProjectNotFoundError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerTimeoutError",
    "UnavailableResourceError",
    "UserError",
    "error_for",
]
