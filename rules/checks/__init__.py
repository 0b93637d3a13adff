"""The rules that judge one flow, one file per section of the rule list.

Strategy: a rule is a function over `rules.facts.Facts`, entered in `rules.registry` with its papers. To add one:
write it in the file of its section, enter its id in `rules.catalogue.ORDER`, and give it a flow that trips it
and a near miss in tests/policy/tables; tests fail until all three stand.
"""
