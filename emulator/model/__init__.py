"""What comes from outside, as validated values."""
