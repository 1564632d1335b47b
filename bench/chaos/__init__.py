"""A soak: runs that are killed, frozen, starved of disk and fed damaged files, and what must hold afterwards."""
