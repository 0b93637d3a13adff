"""Proves who gets in and how a refusal reads: TLS by authority or fingerprint, passwords, few rights, an API key."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.elastic import templates
from tests.elastic.servers import Server
from tests.house.captures import BROKEN, TOPOLOGY
from tests.settings.test_settings import LIVE

PREFIX = "EDGEWARDEN_ELASTIC_"
Become = Callable[..., None]


@pytest.fixture
def become(secured: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, namespace: str) -> Become:
    """Say by the environment who we are and whom we trust."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv(f"{PREFIX}NAMESPACE", namespace)

    def say(user: str | None, password: str | None = None, *, trust: str | None = "ca") -> None:
        for name in ("USERNAME", "PASSWORD", "CA", "FINGERPRINT"):
            monkeypatch.delenv(f"{PREFIX}{name}", raising=False)
        if user is not None:
            monkeypatch.setenv(f"{PREFIX}USERNAME", user)
            monkeypatch.setenv(f"{PREFIX}PASSWORD", password or secured.facts[user])
        if trust is not None:
            monkeypatch.setenv(f"{PREFIX}{trust.upper()}", secured.facts[trust])

    return say


def audit(url: str) -> int:
    captures = f"external={BROKEN['external']}"
    return main(["audit", "-q", "--store", url, "--topology", TOPOLOGY, "--output", "/dev/null", captures])


def findings(url: str, capfd: pytest.CaptureFixture[str]) -> list[str]:
    capfd.readouterr()
    assert main(["findings", "--store", url, "--format", "json"]) == 0
    return [finding["id"] for finding in json.loads(capfd.readouterr().out)["findings"]]


def test_few_rights_are_enough(secured: Server, become: Become, capfd: pytest.CaptureFixture[str]) -> None:
    """Set up by one who may, shipped by one who may only that, read by one who may only read."""
    client = secured.client()
    for name in templates.PATTERNS:
        client.options(ignore_status=404).indices.delete_index_template(name=name)
    client.close()
    become("shipper")
    assert audit(secured.url) == 2
    err = capfd.readouterr().err
    assert "run `edgewarden elastic setup` as a user with the privilege manage_index_templates" in err
    become("admin")
    assert main(["elastic", "setup", "--store", secured.url]) == 0
    become("shipper")
    assert audit(secured.url) == 1
    assert main(["elastic", "status", "--store", secured.url]) == 0
    told = capfd.readouterr().out
    assert "Templates:  all 4 in place" in told
    assert " 0 rows wait" in told
    shipped = findings(secured.url, capfd)
    assert len(shipped) > 10
    become("reader")
    assert findings(secured.url, capfd) == shipped
    assert main(["elastic", "status", "--store", secured.url]) == 0
    told = capfd.readouterr().out
    assert "version unknown (we may not ask)" in told
    assert "Templates:  unknown (we may not ask)" in told


def test_a_reader_cannot_ship(
    secured: Server, become: Become, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    become("reader")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert audit(secured.url) == 2
    err = capfd.readouterr().err
    assert "does not let us do that" in err
    assert "what was recorded stays in" in err


def test_the_fingerprint_of_the_authority_will_do(
    secured: Server, become: Become, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    become("admin", trust="fingerprint")
    assert main(["elastic", "status", "--store", secured.url]) == 0
    monkeypatch.setenv(f"{PREFIX}FINGERPRINT", "00" * 32)
    assert main(["elastic", "status", "--store", secured.url]) == 2
    assert "no certificate there has the fingerprint that was named" in capfd.readouterr().err


def test_an_authority_that_did_not_sign_it(
    secured: Server, become: Become, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=Other",
         "-keyout", str(tmp_path / "key"), "-out", str(other)],
        check=True, capture_output=True,
    )  # fmt: skip
    become("admin", trust=None)
    for authority in (None, other):
        if authority is not None:
            monkeypatch.setenv(f"{PREFIX}CA", str(authority))
        assert main(["elastic", "status", "--store", secured.url]) == 2
        assert "certificate there is not trusted: name the authority" in capfd.readouterr().err


def test_a_wrong_password_and_nobody(secured: Server, become: Become, capfd: pytest.CaptureFixture[str]) -> None:
    become("admin", "wrong")
    assert main(["findings", "--store", secured.url]) == 2
    err = capfd.readouterr().err
    assert "refuses the user name or the password" in err
    assert "wrong" not in err
    become(None)
    assert main(["findings", "--store", secured.url]) == 2
    assert "asks who we are" in capfd.readouterr().err


def test_an_audit_with_a_wrong_password_ends_before_its_work(
    secured: Server, become: Become, capfd: pytest.CaptureFixture[str]
) -> None:
    become("shipper", "wrong")
    assert audit(secured.url) == 2
    assert "refuses the user name or the password" in capfd.readouterr().err


def test_the_settings_say_it_all(
    secured: Server, namespace: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "topology.yaml").write_text(LIVE, encoding="utf-8")
    (tmp_path / "es.key").write_text(secured.facts["admin"] + "\n")
    settings = tmp_path / "edgewarden.yaml"
    settings.write_text(
        f"""\
edgewarden: 1
topology: topology.yaml
store: sqlite:///record.db
elasticsearch:
  hosts: ["{secured.url}"]
  ca_certs: {secured.facts["ca"]}
  username: admin
  password_file: es.key
  namespace: {namespace}
"""
    )
    status = main(["elastic", "status", "--config", str(settings)])
    out, err = capfd.readouterr()
    assert status == 0, err
    assert f"Namespace:  {namespace}" in out
    assert f"Record:     {tmp_path}/record.db: there is none" in out


@pytest.fixture
def doorman() -> Iterator[tuple[str, list[str | None]]]:
    """A server that lets one API key in, and what was shown to it: the real one, in this build, makes none."""
    shown: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("authorization"))
            right = shown[-1] == "ApiKey cmlnaHQ6a2V5"
            body = json.dumps({} if right else {"error": {"reason": "unable to authenticate"}}).encode()
            self.send_response(404 if right else 401)
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", shown
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_api_key_is_shown(
    doorman: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url, shown = doorman
    monkeypatch.setenv(f"{PREFIX}API_KEY", "cmlnaHQ6a2V5")
    main(["elastic", "status", "--store", url])
    assert "refuses the API key" not in capfd.readouterr().err
    assert set(shown) == {"ApiKey cmlnaHQ6a2V5"}
    monkeypatch.setenv(f"{PREFIX}API_KEY", "d3Jvbmc6a2V5")
    assert main(["elastic", "status", "--store", url]) == 2
    err = capfd.readouterr().err
    assert "refuses the API key" in err
    assert "d3Jvbmc6a2V5" not in err


def test_what_is_no_elasticsearch_is_said_to_be_none(capfd: pytest.CaptureFixture[str]) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        assert main(["elastic", "status", "--store", f"http://127.0.0.1:{server.server_address[1]}"]) == 2
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert "what answers there is no Elasticsearch" in capfd.readouterr().err
