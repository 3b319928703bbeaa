"""The API of facts: memories, their facts and their versions, under the names that the library has for them."""

from fastapi import APIRouter

from memtune.serve.facts import asking, facts, memories, upkeep, versions

router = APIRouter(prefix="/v1")
for routes in (memories, asking, versions, upkeep, facts):  # facts last: an id may hold any sign, also a slash
    router.include_router(routes.router)

__all__ = ["router"]
