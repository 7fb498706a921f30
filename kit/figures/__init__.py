"""Results as values: arrays, words, and how they are drawn. Nothing is computed here, and no widget is known.

A figure knows its finding (`says`), what is there in words (`alt`), its numbers (`rows()`), and its still
picture (`still()`, `save()`); `Bars`, `Curves`, `Scatter` and `Grid` also come alive (`plotly()`). Notebook,
panel, saved file and the page of a sweep show the same figure.
"""

from kit.figures.charts import Bars, Curves, Scatter
from kit.figures.figure import Figure, together
from kit.figures.grid import Grid, cells
from kit.figures.maps import Maps
from kit.figures.strip import Strip
from kit.figures.table import Table
from kit.numbers import interval, nice, number
