"""Whole sites judged from outside: a topology, a table of flows with expectations, captures, the command."""
