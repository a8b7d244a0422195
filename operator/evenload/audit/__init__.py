"""Misconfigurations that are worth finding before traffic shows them: objects in, findings out.

Pure: no cluster, no files, no clock. One file a plane or kind, one small rule a question; `rules.py` is the table of
them. A rule never raises, whatever an object holds (`field.py`), and never says that something is missing unless all
objects of that kind are known (`world.py`).
"""
