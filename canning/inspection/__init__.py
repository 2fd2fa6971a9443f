"""What a message holds, and what an object would become, as reports."""
