"""Disk images: built from Debian's packages or fetched from their publishers, kept in a cache."""
