"""Judgement: topology and policy in, verdicts and reasons out. Pure Python, no side effects."""
