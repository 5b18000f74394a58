"""Keyword analysis: columns in, columns out, nothing else touched.

Hides Unicode, language models, lexicons and the numeric work. One code path serves one phrase and ten million.
"""
