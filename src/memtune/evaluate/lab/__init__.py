"""Laboratories: what becomes of what was learned first (`retention.py`), and how much fits (`capacity.py`)."""
