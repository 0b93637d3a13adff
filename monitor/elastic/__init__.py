"""Elasticsearch, where the records of several machines meet.

`cluster` says where and who we are, `templates` how the streams look, `tables` what of a record goes into which,
`documents` what people find there, `outbox` ships it, `reading` makes a record of it again that is asked as any other.
"""
