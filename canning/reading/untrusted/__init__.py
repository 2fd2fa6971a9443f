"""What a reader allows, and the reader of plain data behind ``trust="data"``."""
