"""The limits of a reader, and the reader of plain data for ``trust="data"``."""
