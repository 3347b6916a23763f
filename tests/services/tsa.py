#!/usr/bin/env python3
"""A time-stamp authority (RFC 3161) on 127.0.0.1: OpenSSL's own `openssl ts`, behind the HTTP of section 3.4.

usage: tsa.py DIRECTORY     prints URL=… ROOT=…; ends when its standard input ends
Makes a root and an authority's certificate in the directory. Needs openssl.
"""

import http.server
import pathlib
import subprocess
import sys
import threading

directory = pathlib.Path(sys.argv[1])
CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = test authority
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = DIR/serial
signer_cert = DIR/authority.pem
signer_key = DIR/authority.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make():
    (directory / "openssl.cnf").write_text(CONFIG.replace("DIR", str(directory)))
    (directory / "serial").write_text("01\n")
    request = ["req", "-config", "openssl.cnf", "-newkey", "rsa:2048", "-nodes"]
    openssl(*request, "-x509", "-days", "30", "-subj", "/CN=test root", "-extensions", "root", "-keyout", "root.key", "-out", "root.pem")
    openssl(*request, "-subj", "/CN=test authority", "-keyout", "authority.key", "-out", "authority.csr")
    sign = ["x509", "-req", "-in", "authority.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "20"]
    openssl(*sign, "-extfile", "openssl.cnf", "-extensions", "authority", "-out", "authority.pem")


class Authority(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            (directory / "query").write_bytes(query)
            openssl("ts", "-reply", "-config", "openssl.cnf", "-section", "tsa_config", "-queryfile", "query", "-out", "reply")
            reply = (directory / "reply").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


lock = threading.Lock()
make()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Authority)
print(f"URL=http://127.0.0.1:{server.server_port}/ ROOT={directory / 'root.pem'}", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
