"""What a model computes, and how rules are attached to it."""
