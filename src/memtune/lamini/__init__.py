"""A drop-in for the reference's client: `from memtune.lamini import Lamini`."""
