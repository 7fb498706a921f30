"""Loupe: a vision transformer's image representation as an exact sum of named parts."""
