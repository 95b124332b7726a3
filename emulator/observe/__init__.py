"""What operators see of each answer."""
