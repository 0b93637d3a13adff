"""A cluster as somebody named it: the addresses, who we say we are, and what goes wrong as sentences.

Strategy: everything secret or kept from other users (API key, password, the file of the authority) is read when a
`Target` is made, so that rights can be given up before the client, whose import starts threads, comes in. The client
tries nothing again by itself: a second attempt that nobody asked for could double what the first one did. Plain HTTP
is for this machine alone. `GET /` is never asked for: it tells little, and some builds and gateways refuse it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from monitor.exit_status import OperatorMistake, OutOfReach
from reports.visible import visible

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from monitor.settings.config import Elasticsearch as Settings

VARIABLE: Final = "EDGEWARDEN_ELASTIC_"
"""Before API_KEY, USERNAME, PASSWORD, CA, FINGERPRINT, NAMESPACE: what stands beside a `--store https://…`."""

PORT: Final = 9200
"""Of a URL that names none, as Beats read it."""

PATIENCE: Final = 30.0
"""Seconds for one answer: a bulk of `outbox.OCTETS` takes less than one on a cluster that is well."""

_NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9._]{0,99}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where, as whom, and by which namespace. `authority`: PEM text; `fingerprint`: SHA-256, lower-case hex."""

    hosts: tuple[str, ...]
    namespace: str = "default"
    authority: str | None = field(default=None, repr=False)
    fingerprint: str | None = None
    api_key: str | None = field(default=None, repr=False)
    account: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For messages."""
        return visible(", ".join(self.hosts))

    @property
    def violations(self) -> str:
        return f"logs-edgewarden.violation-{self.namespace}"

    @property
    def coverage(self) -> str:
        return f"metrics-edgewarden.coverage-{self.namespace}"

    @property
    def streams(self) -> tuple[str, str]:
        return (self.violations, self.coverage)


def from_settings(settings: Settings) -> Target:
    """Reads the secrets. Raises OperatorMistake."""
    account = None
    if settings.username is not None and settings.password is not None:
        account = (settings.username, settings.password.read())
    return Target(
        tuple(_host(host) for host in settings.hosts),
        settings.namespace,
        _authority(settings.ca_certs),
        settings.fingerprint.replace(":", "").lower() if settings.fingerprint is not None else None,
        settings.api_key.read() if settings.api_key is not None else None,
        account,
    )


def is_cluster(url: str) -> bool:
    """Whether a store's URL names a cluster and no file."""
    return url.lower().startswith(("https://", "http://"))


def from_url(url: str) -> Target:
    """The cluster of `--store https://…`, with what the environment says beside it. Raises OperatorMistake."""
    said = {
        name: os.environ.get(VARIABLE + name) or None
        for name in ("API_KEY", "USERNAME", "PASSWORD", "CA", "FINGERPRINT", "NAMESPACE")
    }
    user, password, namespace, fingerprint = (
        said[name] for name in ("USERNAME", "PASSWORD", "NAMESPACE", "FINGERPRINT")
    )
    if (user is None) != (password is None):
        raise OperatorMistake(f"{VARIABLE}USERNAME and {VARIABLE}PASSWORD need each other")
    if user is not None and said["API_KEY"] is not None:
        raise OperatorMistake(f"{VARIABLE}API_KEY beside {VARIABLE}USERNAME: one of the two")
    if said["CA"] is not None and fingerprint is not None:
        raise OperatorMistake(f"{VARIABLE}CA beside {VARIABLE}FINGERPRINT: one of the two")
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise OperatorMistake(f"{VARIABLE}NAMESPACE: a word in lower case, such as default")
    fingerprint = fingerprint.replace(":", "").lower() if fingerprint is not None else None
    if fingerprint is not None and not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
        raise OperatorMistake(f"{VARIABLE}FINGERPRINT: SHA-256 in 64 hexadecimal digits")
    return Target(
        (_host(url),),
        namespace or "default",
        _authority(said["CA"]),
        fingerprint,
        said["API_KEY"],
        (user, password) if user is not None and password is not None else None,
    )


def _host(url: str) -> str:
    """The URL with its port. Raises OperatorMistake; what may be a secret is not repeated."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OperatorMistake(f"'{visible(url)}' is no URL (say https://es01.contoso.net:9200)") from None
    if "@" in parts.netloc:
        raise OperatorMistake(
            f"a name or password in a URL is seen by others: {VARIABLE}API_KEY, or {VARIABLE}USERNAME and "
            f"{VARIABLE}PASSWORD, hold them for --store, files for the settings"
        )
    if not parts.hostname or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or port == 0:
        raise OperatorMistake(f"'{visible(url)}' names no cluster (say https://es01.contoso.net:9200)")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.scheme.lower() == "http" and not _here(parts.hostname):
        raise OperatorMistake(f"{visible(url)}: plain HTTP is for this machine alone: say https://{host}…")
    return f"{parts.scheme.lower()}://{host}:{port or PORT}{parts.path.rstrip('/')}"


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _authority(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(1 << 20)
        ssl.create_default_context(cadata=text)
    except OSError as error:
        raise OperatorMistake(
            f"{visible(path)}: the certificate of the cluster's authority cannot be read: {error.strerror or error}"
        ) from None
    except ValueError:
        raise OperatorMistake(f"{visible(path)}: holds no certificate in PEM form") from None
    return text


def connect(target: Target) -> Elasticsearch:
    """A client. Nothing is asked yet."""
    import warnings

    from elasticsearch import Elasticsearch, ElasticsearchWarning

    warnings.simplefilter("ignore", ElasticsearchWarning)  # what is deprecated is ours to know, not the operator's
    more: dict[str, Any] = {}
    if any(host.startswith("https:") for host in target.hosts):
        if target.fingerprint is not None:
            more["ssl_assert_fingerprint"] = target.fingerprint
        else:
            more["ssl_context"] = ssl.create_default_context(cadata=target.authority)
    if target.api_key is not None:
        more["api_key"] = target.api_key
    if target.account is not None:
        more["basic_auth"] = target.account
    return Elasticsearch(
        list(target.hosts), request_timeout=PATIENCE, max_retries=0, retry_on_timeout=False, http_compress=True, **more
    )


@contextmanager
def told(target: Target) -> Iterator[None]:
    """The client's errors as sentences: OutOfReach for what may pass by itself, else OperatorMistake."""
    from elasticsearch import ApiError, SerializationError, SSLError, TransportError, UnsupportedProductError

    try:
        yield
    except UnsupportedProductError:
        raise OperatorMistake(f"{target.name}: what answers there is no Elasticsearch") from None
    except ApiError as error:
        raise _answered(target, error.status_code, reason(error.body)) from None
    except SSLError as error:
        raise OperatorMistake(_untrusted(target, str(error.message))) from None
    except SerializationError:
        raise OutOfReach(f"{target.name}: answers with something that is no JSON: is it a gateway?") from None
    except TransportError as error:
        raise OutOfReach(f"{target.name}: the cluster does not answer: {_short(error)}") from None


def _answered(target: Target, status: int, why: str) -> Exception:
    if status == 401:
        asked = "the API key" if target.api_key else "the user name or the password" if target.account else None
        if asked is None:
            return OperatorMistake(
                f"{target.name}: asks who we are: {VARIABLE}API_KEY, or {VARIABLE}USERNAME and {VARIABLE}PASSWORD, or "
                "the keys under `elasticsearch` in the settings"
            )
        return OperatorMistake(f"{target.name}: refuses {asked}")
    if status == 403:
        return OperatorMistake(f"{target.name}: does not let us do that: {why}")
    if status == 429 or status >= 500:
        return OutOfReach(f"{target.name}: the cluster cannot do that now ({status}): {why}")
    return OperatorMistake(f"{target.name}: refuses what was asked ({status}): {why}")


def _untrusted(target: Target, text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return f"{target.name}: does not speak TLS: is http:// meant, which is for this machine alone?"
    if target.fingerprint is not None and "ingerprint" in text:
        return f"{target.name}: no certificate there has the fingerprint that was named"
    if "ostname mismatch" in text or "not valid for" in text:
        return f"{target.name}: the certificate there is for another name"
    return (
        f"{target.name}: the certificate there is not trusted: name the authority that signed it, with ca_certs in the "
        f"settings or {VARIABLE}CA beside --store, or its fingerprint"
    )


def reason(body: Any) -> str:
    """The most telling sentence of an error of the cluster."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        cause = error.get("caused_by")
        parts = [error.get("reason") or error.get("type")]
        if isinstance(cause, dict):
            parts.append(cause.get("reason"))
        error = ": ".join(str(part) for part in parts if part)
    return visible(str(error))[:500]


def _short(error: Any) -> str:
    text = str(getattr(error, "message", error))
    for known, said in (
        ("refused", "connection refused"),
        ("timed out", "no answer in time"),
        ("reset", "cut off"),
        ("aborted", "cut off (does it speak TLS, and is https:// meant?)"),
        ("resolve", "no machine has that name"),
    ):
        if known in text:
            return said
    return visible(text)[:200]


def identity(client: Elasticsearch, target: Target) -> str:
    """What tells this target from others in a record: the cluster's own id where we may see it, and the namespace."""
    from elasticsearch import ApiError

    try:
        answer = client.cluster.state(metric="version", filter_path="cluster_uuid")
        return f"{answer['cluster_uuid']}/{target.namespace}"
    except (ApiError, KeyError):
        return f"{' '.join(sorted(target.hosts))}/{target.namespace}"


def version(client: Elasticsearch) -> str | None:
    """None where we may not see it."""
    from elasticsearch import ApiError

    try:
        answer = client.nodes.info(node_id="_local", filter_path="nodes.*.version")
        return visible(str(next(iter(answer["nodes"].values()))["version"]))
    except (ApiError, KeyError, StopIteration):
        return None
