"""The record: what audits found, in one SQLite file a machine, and the questions that are asked of it.

`location` says which file, `migrations` what is in it, `entry` makes what one audit adds, `sqlite` writes and reads it.
"""
