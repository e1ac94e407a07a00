"""Puts back the names that `collections` lost in Python 3.10, for packages that are older than that: Python imports this at its start."""

import collections
import collections.abc

for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
