"""All known ports beside each other: the same questions, the same judge, and a page."""
