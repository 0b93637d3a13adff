"""Text of a new settings file. It names what this version serves; what does not stand here is refused."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
# Settings of the Edgewarden service. Relative names of files start at the folder of this file.
# Check it with `edgewarden settings check`; all keys, and what each may hold: `edgewarden settings schema`.
edgewarden: 1

# The declared site. One of its `sensors` must name the interfaces to capture from, such as
#   - {name: outer, position: external, side: outside, interfaces: [eth1]}
topology: topology.yaml
"""
