"""The benchmarks behind `memtune bench`: one file each, every figure beside what it is compared with.

A benchmark is a function `measure(...)` that returns a dataclass with `sheets()` for people.
"""
