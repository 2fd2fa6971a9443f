"""Types of other libraries and of the standard library, one small file each."""
