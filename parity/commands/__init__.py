"""The commands of `parity`, one file each; `parity.cli` puts them together."""
