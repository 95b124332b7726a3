"""The metadata server: Tornado in front, the core behind."""
