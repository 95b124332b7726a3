"""What every long-running command shares: sockets, tasks, state on disk, word to systemd."""
