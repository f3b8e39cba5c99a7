"""Validate a crate without a network: `.venv/crate/bin/python tests/validate_crate.py CRATE`.

The validator fetches RO-Crate's context from the web. Here its cache is filled with the copy that
the package rocrate ships, and with the terms that a workflow needs, as Bioschemas defines them.
"""

import io
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import requests
import rocrate
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from rocrate_validator import models, services
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
TERMS = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}


class ShippedContext(BaseAdapter):
    """Answer every request with the context that rocrate ships."""

    def send(self, request, **_):
        shipped = json.loads((Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text())
        context = shipped.get("@context", shipped)
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.headers["Content-Type"] = "application/ld+json"
        body = io.BytesIO(json.dumps({"@context": context | TERMS}).encode())
        response.raw = HTTPResponse(
            body, response.headers, 200, preload_content=False, request_url=CONTEXT
        )
        return response

    def close(self):
        pass


def fill_cache(path: Path) -> None:
    """Put the context into the validator's cache."""
    session = CachedSession(str(path), backend="sqlite", expire_after=-1)
    session.mount("https://", ShippedContext())
    session.get(CONTEXT)
    session.close()


def validate(crate: Path, severity: str = "REQUIRED") -> bool:
    """Validate a crate, and print how many checks it has passed and what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        fill_cache(Path(folder, "cache"))
        settings = services.ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="provenance-run-crate-0.5",
            requirement_severity=models.Severity[severity],
            cache_path=Path(folder, "cache"),
            offline=True,
        )
        result = services.validate(settings)
    counts = Counter(check.severity.name for check in result.executed_checks)
    failed = Counter(check.severity.name for check in result.failed_checks)
    for name, count in counts.items():
        sys.stdout.write(f"{name}: {count - failed[name]} of {count} checks passed\n")
    for issue in result.get_issues():
        sys.stdout.write(f"{issue.severity.name}: {issue.message}\n")
    return result.passed()


if __name__ == "__main__":
    sys.exit(0 if validate(Path(sys.argv[1]), *sys.argv[2:]) else 1)
