"""Evaluation that a sceptic can repeat: cases with roles, a ladder of ways to answer them, figures with intervals.

`cases.py` says what is asked and what is right, `rungs/` holds one file for each way of answering, `scores.py`
compares, `ladder.py` runs all rungs over all cases. Nothing here is imported by what answers questions.
"""
