"""TLS with OpenAI's Python SDK, grpcio and curl: https, client certificates, and Unix sockets.

    tls.py PATH_OF_TRIPTYCH

Makes certificates with the command `openssl`, and starts Triptych on free ports. Needs curl.
"""

import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import grpc
import openai
from by_reflection import Services
from fake_provider import start_both_apis_in

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {"messages": [{"role": "user", "text": "Hello"}]}
CA_EXTENSIONS = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
EXTENSIONS = (
    "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)


def run_openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificate(directory, name, authority=None):
    """Writes NAME.pem and NAME.key: the certificate of an authority, or one that an authority issues."""
    paths = {kind: str(directory / f"{name}.{kind}") for kind in ("pem", "key", "csr", "ext")}
    Path(paths["ext"]).write_text(EXTENSIONS if authority else CA_EXTENSIONS)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", paths["key"]]
    run_openssl("req", "-new", *key, "-subj", f"/CN={name}", "-out", paths["csr"])
    if authority:
        issuer = ["-CA", str(directory / f"{authority}.pem"), "-CAkey", str(directory / f"{authority}.key"), "-CAcreateserial"]
    else:
        issuer = ["-signkey", paths["key"]]
    run_openssl("x509", "-req", "-in", paths["csr"], *issuer, "-days", "2", "-extfile", paths["ext"], "-out", paths["pem"])


def check_rest(rest, directory):
    os.environ["SSL_CERT_FILE"] = str(directory / "ca.pem")
    client = openai.OpenAI(base_url=rest, api_key="any", max_retries=0)
    model = "offline-chat"
    assert client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content
    chunks = client.chat.completions.create(model=model, messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    link = client.images.generate(prompt="A boat", size="256x256").data[0].url
    assert link.startswith("https://"), link
    trusting = ssl.create_default_context(cafile=directory / "ca.pem")
    assert urllib.request.urlopen(link, context=trusting).read(4) == b"\x89PNG"
    print("  ok   openai: chat, a stream, and an image whose link is https")

    os.environ["SSL_CERT_FILE"] = str(directory / "others.pem")
    try:
        openai.OpenAI(base_url=rest, api_key="any", max_retries=0).models.list()
        raise SystemExit("a certificate of another authority was accepted")
    except openai.APIConnectionError:
        print("  ok   openai: a server of another authority is refused")
    try:
        urllib.request.urlopen(rest.replace("https:", "http:") + "/models", timeout=10)
        raise SystemExit("a request in plain text was answered")
    except (OSError, http.client.HTTPException):
        print("  ok   a request in plain text is not answered")
    curl = ["curl", "-sS", "--fail", "--cacert", str(directory / "ca.pem"), "-w", "\n%{http_version}"]
    reply, _, version = subprocess.check_output([*curl, f"{rest}/models"], text=True).rpartition("\n")
    assert json.loads(reply)["object"] == "list" and version in ("2", "1.1"), version
    print(f"  ok   curl: HTTP/{version} over TLS")


def check_grpc(address, directory):
    def read(name):
        return (directory / name).read_bytes()

    def models(certificate):
        identity = (read(f"{certificate}.key"), read(f"{certificate}.pem")) if certificate else ()
        credentials = grpc.ssl_channel_credentials(read("ca.pem"), *identity)
        services = Services(address, credentials)
        assert services.call("triptych.v1.ChatService/CreateChat", {"chat": CHAT}, timeout=30).choices[0].message.text
        chunks = list(services.call("triptych.v1.ChatService/StreamChat", {"chat": CHAT}, timeout=30))
        assert len(chunks) > 1, chunks

    models("client")
    print("  ok   grpcio: a call and a stream with a client certificate")
    for certificate in (None, "stranger"):
        try:
            models(certificate)
            raise SystemExit("a client without a valid certificate was served")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    print("  ok   grpcio: no certificate, and one of another authority, are refused")


def check_unix_sockets(program, directory):
    settings = {"TRIPTYCH_REST_LISTEN": "unix:rest.sock", "TRIPTYCH_GRPC_LISTEN": "unix:grpc.sock"}
    with start_both_apis_in(directory, program, settings) as (rest, address):
        assert (rest, address) == ("unix:rest.sock", "unix:grpc.sock"), (rest, address)
        curl = ["curl", "-sS", "--fail", "--unix-socket", str(directory / "rest.sock")]
        body = json.dumps({"model": "offline-chat", "messages": HELLO})
        reply = subprocess.check_output([*curl, "http://localhost/v1/chat/completions", "--json", body], text=True)
        assert json.loads(reply)["choices"][0]["message"]["content"], reply
        services = Services(f"unix:{directory / 'grpc.sock'}")
        assert services.call("triptych.v1.ChatService/CreateChat", {"chat": CHAT}).choices[0].message.text
    assert not (directory / "rest.sock").exists()
    print("  ok   curl and grpcio over Unix sockets")


with tempfile.TemporaryDirectory() as temporary:
    files = Path(temporary)
    make_certificate(files, "ca")
    make_certificate(files, "others")
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "others")):
        make_certificate(files, name, authority)
    tls = {f"TRIPTYCH_{api}_TLS_{kind}_FILE": f"server.{end}" for api in ("REST", "GRPC") for kind, end in (("CERTIFICATE", "pem"), ("KEY", "key"))}
    tls["TRIPTYCH_GRPC_TLS_CLIENT_CA_FILE"] = "ca.pem"
    with start_both_apis_in(files, sys.argv[1], tls) as (rest_url, grpc_address):
        assert rest_url.startswith("https://"), rest_url
        check_rest(rest_url, files)
        check_grpc(grpc_address, files)
    check_unix_sockets(sys.argv[1], files)
