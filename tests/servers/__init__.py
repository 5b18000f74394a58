"""Servers that tests start for themselves: on free ports of this machine, in temporary folders, gone afterwards.

A server that is missing fails the run with the line that installs it; nothing is skipped.
"""
