"""The documentation site, and what makes its generated pages."""
