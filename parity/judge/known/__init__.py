"""Known differences between a reference and the method it implements: when they apply, what shows them."""
