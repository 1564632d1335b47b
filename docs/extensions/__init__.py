"""What `make docs` generates: pages, pictures and tables from what the code knows."""
