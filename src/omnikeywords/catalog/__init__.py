"""The catalogue: projects, imports, keywords and observations, as facts in an event log and as read models of it.

Hides dialects, the order of events, their encoding, partitions and what lies on which server. Facts are appended and
never changed; everything else is derived by followers, can be thrown away and comes out the same again.
"""
