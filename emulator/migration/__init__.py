"""From IMDSv1 to IMDSv2 for a whole fleet: its mode, who is excepted, and a canary."""
