"""Memory as flat views, strides, dtypes as plain data."""
