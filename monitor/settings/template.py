"""Text of a new settings file. It names what this version serves, as comments but for what every site needs."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
# Settings of the Edgewarden service. Relative names of files start at the folder of this file.
# Check it with `edgewarden settings check`; all keys, and what each may hold: `edgewarden settings schema`.
# To use a key that begins with #, take the # away.
edgewarden: 1

# The declared site. One of its `sensors` must name the interfaces to capture from, such as
#   - {name: outer, position: external, side: outside, interfaces: [eth1]}
topology: topology.yaml

# The record; without this line the one in the state folder.
#store: sqlite:///record.db

# First packets of violating flows, kept as small captures.
#evidence: {dir: evidence, keep_days: 90}

# Where the record is shipped when several machines watch; secrets stand in files or variables, never here.
#elasticsearch: {hosts: https://es01.contoso.net:9200, ca_certs: ca.pem, api_key_file: es.key}

# Reports by the calendar.
#reports:
#  - {name: daily, every: day, at: "06:00", zone: Europe/Berlin, formats: [html, csv], deliver: [{folder: reports}]}

# The user that the workers become.
#privileges: {user: edgewarden}
#log: {format: text, level: info}
"""
