"""Certificates for tests, made by the `openssl` command in a folder of the test's.

    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        with Provider(tls=authority.server(), host="localhost") as provider: ...
        # and the client trusts authority.certificate, a PEM file
"""

import datetime
import os
import ssl
import subprocess

NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
FOREIGN_NAMES = "DNS:elsewhere.example"
OPENSSL_TIMEOUT_S = 30


class Authority:
    """A certificate authority that nobody trusts who was not told of `certificate`."""

    def __init__(self, folder, name="ca"):
        self.folder = str(folder)
        self.name = name
        self.certificate = self._path(f"{name}.pem")
        self.key = self._path(f"{name}.key")
        _openssl(
            *("req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN=test authority {name}"),
            *_new_key(self.key),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
            *("-out", self.certificate),
        )

    def server(self):
        """For localhost, 127.0.0.1 and ::1, valid now."""
        return self._context("good", NAMES)

    def server_files(self):
        """(certificate, key) of server(), for a server that reads files."""
        return self._issue(f"{self.name}-files", NAMES, ends_in_days=30)

    def expired(self):
        """The same, but its time was over yesterday."""
        return self._context("expired", NAMES, ends_in_days=-1)

    def foreign(self):
        """For another host."""
        return self._context("foreign", FOREIGN_NAMES)

    def client_context(self):
        """What a careful client of Python's has: trusts this authority, checks name and time."""
        return ssl.create_default_context(cafile=self.certificate)

    def _context(self, name, names, ends_in_days=30):
        certificate, key = self._issue(f"{self.name}-{name}", names, ends_in_days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _issue(self, name, names, ends_in_days):
        """(certificate, key). `openssl ca` is the one command of openssl 3.0 that sets both dates."""
        key, request = self._path(f"{name}.key"), self._path(f"{name}.csr")
        certificate, settings = self._path(f"{name}.pem"), self._path(f"{name}.cnf")
        _openssl("req", "-nodes", "-subj", f"/CN={name}", *_new_key(key), "-new", "-out", request)
        for file, text in (("index.txt", ""), ("index.txt.attr", "unique_subject = no\n")):
            _write(self._path(file), text)
        _write(
            settings,
            f"""
            [ca]
            default_ca = own
            [own]
            database = {self._path("index.txt")}
            new_certs_dir = {self.folder}
            rand_serial = yes
            default_md = sha256
            policy = any
            x509_extensions = of_server
            [any]
            commonName = supplied
            [of_server]
            basicConstraints = critical,CA:FALSE
            extendedKeyUsage = serverAuth
            subjectAltName = {names}
            """,
        )
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=ends_in_days)
        start = min(end, datetime.datetime.now(datetime.timezone.utc)) - datetime.timedelta(days=2)
        _openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-in", request, "-out", certificate),
            *("-cert", self.certificate, "-keyfile", self.key),
            *("-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}"),
        )
        return certificate, key

    def _path(self, name):
        return os.path.join(self.folder, name)


def _new_key(path):
    """An elliptic key: made at once, where one of RSA takes a noticeable time."""
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", path)


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _openssl(*arguments):
    done = subprocess.run(
        ["openssl", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=OPENSSL_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr[-1000:]}")
