"""The commands of `parity`, one file each; `parity.commands.cli` puts them together."""
