"""The client behind a proxy that terminates TLS."""

import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import grpc
from server import API_KEY, Server

from triptych_client import connect, error_details, v1


def tls_proxy(certificate: Path, key: Path, target: str) -> socket.socket:
    """Starts a proxy that accepts HTTP/2 over TLS and forwards the bytes to `target`. Returns its listener."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = target.split(":")

    def copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    def accept() -> None:
        while True:
            try:
                plain = listener.accept()[0]
            except OSError:
                return
            try:
                client = context.wrap_socket(plain, server_side=True)
            except (OSError, ssl.SSLError):
                continue
            upstream = socket.create_connection((host, int(port)))
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=copy, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


@unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificate")
class TlsTest(unittest.TestCase):
    def test_certificate_is_verified(self) -> None:
        with tempfile.TemporaryDirectory() as directory, Server() as server:
            certificate, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
            options = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
            files = ["-keyout", str(key), "-out", str(certificate)]
            subprocess.run(["openssl", *options.split(), *files], check=True, capture_output=True)
            with tls_proxy(certificate, key, server.address) as listener:
                target = f"localhost:{listener.getsockname()[1]}"
                trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
                with connect(target, api_key=API_KEY, tls=trusted) as client:
                    self.assertTrue(client.model.ListModels(v1.ListModelsRequest(), timeout=60).models)
                # The certificate is not a public one.
                with connect(target, api_key=API_KEY, tls=True) as client, self.assertRaises(grpc.RpcError) as raised:
                    client.model.ListModels(v1.ListModelsRequest(), timeout=5)
        self.assertEqual(error_details(raised.exception).code, grpc.StatusCode.UNAVAILABLE)


if __name__ == "__main__":
    unittest.main()
