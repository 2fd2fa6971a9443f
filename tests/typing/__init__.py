"""What type checkers must say: each line that they refuse has an ignore, and an idle ignore is an error."""
