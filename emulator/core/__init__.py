"""The rules of answering, as pure values: no sockets, no clock of its own, no templates."""
