"""Jobs: learning that goes on behind the answers, durable over a crash."""

from memtune.serve.jobs.job import NameTaken
from memtune.serve.jobs.jobs import Job, Jobs, Plan, Step, UnknownJob
from memtune.serve.jobs.settings import Settled, settle

__all__ = ["Job", "Jobs", "NameTaken", "Plan", "Settled", "Step", "UnknownJob", "settle"]
