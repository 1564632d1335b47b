"""Layer by layer: where the subject's relevance leaves the reference's, and whether the networks part before."""
