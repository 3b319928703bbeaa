"""Experts that are brought by gradients: low-rank factors, and one loop that trains whatever stacks its experts."""
