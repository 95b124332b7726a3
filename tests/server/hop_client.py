"""Asks for a token, then for a document; prints what came, as JSON. Its argument is an address."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

# Long enough for the kernel to send what is lost three times (after 0.2, 0.4 and 0.8 s).
PATIENCE = 2.0


def ask(address: str, head: str) -> dict[str, Any]:
    """Send one request; say how it was answered and if the server then hung up."""
    with socket.create_connection((address, 80), PATIENCE) as connection:
        port = connection.getsockname()[1]
        connection.sendall(f"{head}Host: metadata\r\n\r\n".encode())
        answer = b""
        try:
            while part := connection.recv(4096):
                answer += part
        except TimeoutError:
            return {"port": port, "answer": answer.decode(), "closed": False}
        return {"port": port, "answer": answer.decode(), "closed": True}


def main() -> None:
    address = sys.argv[1]
    put = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n"
    get = "GET /latest/meta-data/instance-id HTTP/1.1\r\n"
    print(json.dumps({"put": ask(address, put), "get": ask(address, get)}))  # noqa: T201  its result


if __name__ == "__main__":
    main()
