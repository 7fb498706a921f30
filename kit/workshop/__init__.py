"""What made the shipped models and the pages about them; nothing else of the kit needs it."""
