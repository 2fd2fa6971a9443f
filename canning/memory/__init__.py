"""Views of memory as flat bytes, strides, dtypes as plain data."""
