"""Values of the columns ``model`` and ``kind`` of the tables about behaviour, for the modules that
write these tables and for those that read them. It imports nothing, so that readers need not
depend on the code that measures.
"""

# The column ``model``, where a table has one.
TRAINED, UNTRAINED = "trained", "untrained"

# Kinds of rollouts by the steps that were forced on them (docs/science.md#detours): none; only such
# after which the target could be reached without a cell twice; others.
UNDISTURBED, FREE, BACK = "undisturbed", "free", "must turn back"

# In what two prompts differ (docs/science.md#states): the first two lead to the same state.
SPELLING, ORIGIN, TARGET, CONNECTION = "spelling", "origin", "target", "connection"
SAME_STATE = (SPELLING, ORIGIN)

# What of a list is drawn anew (docs/science.md#spellings).
ORDER, DIRECTIONS, BOTH = "order", "directions", "order and directions"
