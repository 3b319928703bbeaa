"""What stands beside the facts of a memory: its skills, and the questions that went unanswered."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Path, Query

from memtune.core.facts import Fact
from memtune.history import History
from memtune.inbox import Inbox
from memtune.model import MemoryModel
from memtune.serve.facts import shapes
from memtune.serve.facts.documented import CHANGING, faults
from memtune.serve.facts.doors import ForAsker, ForTeacher, Look, ToTeach
from memtune.skills import Skills

router = APIRouter(tags=["upkeep"])

QuestionId = Annotated[str, Path(description="The question's id.", max_length=64)]


@router.get("/memories/{name}/skills", responses=faults(), summary="List skills")
async def list_skills(door: ForAsker) -> shapes.SkillList:
    """The skills of a memory, with what was measured when they were learned. Learning one is the work of the command
    line: `memtune skill learn`. Scope: `ask`."""

    def listed(look: Look) -> shapes.SkillList:
        found = [shapes.SkillOut.model_validate(record.to_json()) for record in _skills(look).list()]
        return shapes.SkillList(version=look.version, skills=found)

    return await door.read(listed)


@router.get("/memories/{name}/inbox", responses=faults(), summary="List unanswered questions")
async def list_inbox(
    door: ForTeacher, limit: Annotated[int, Query(description="Questions at most.", ge=1, le=1000)] = 100
) -> shapes.InboxOut:
    """Questions that no fact answered, what was asked most often first. Scope: `teach`."""

    def listed(look: Look) -> shapes.InboxOut:
        found = Inbox(look.folder.path, door.house.config.inbox).list()
        questions = [shapes.UnansweredOut.model_validate(one.to_json()) for one in found[:limit]]
        return shapes.InboxOut(questions=questions, more=len(found) > limit)

    return await door.read(listed)


@router.post(
    "/memories/{name}/inbox/{question_id}/teach", responses=faults(*CHANGING), summary="Answer an unanswered question"
)
async def teach_question(door: ToTeach, question_id: QuestionId, body: shapes.Teaching) -> shapes.Learned:
    """Learn it with this answer, and drop it from the inbox. Scope: `teach`."""
    door.require_all()

    def taught(model: MemoryModel) -> shapes.Learned:
        inbox = model.inbox
        question = body.question or inbox.show(question_id).question
        report = inbox.teach(question_id, body.answer, question=body.question)
        ids = [Fact.from_row({"question": question, "answer": body.answer}).id]
        return shapes.Learned.model_validate({**report.to_json(), "ids": ids})

    return await door.write(taught)


@router.delete("/memories/{name}/inbox/{question_id}", responses=faults(), summary="Drop an unanswered question")
async def drop_question(door: ForTeacher, question_id: QuestionId) -> shapes.Dropped:
    """Take it out of the inbox, text and all. Scope: `teach`."""

    def dropped(look: Look) -> shapes.Dropped:
        return shapes.Dropped(dropped=list(Inbox(look.folder.path, door.house.config.inbox).drop(question_id)))

    return await door.read(dropped)


def _skills(look: Look) -> Skills:
    return Skills(lambda: nullcontext(History(look.folder)))
