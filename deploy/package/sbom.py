"""The software bill of materials, as CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json/)."""

import json
import uuid
from datetime import UTC, datetime

from .dependencies import Crate


def bill_of_materials(crates: list[Crate], version: str, digest: str, epoch: int) -> str:
    """Returns the document for an executable with this SHA-256 digest, dated `epoch` (in Unix seconds). Equal input leads to equal text."""
    refs = {crate.id: reference(crate) for crate in crates}
    main = next(crate for crate in crates if crate.name == "triptych")
    application = component(main, refs) | {
        "type": "application",
        "version": version,
        "description": "One gateway to chat, image and video generation",
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # A name-based UUID instead of a random one: the same executable has the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": application,
        },
        "components": [component(crate, refs) for crate in crates if crate is not main],
        "dependencies": [
            {"ref": refs[crate.id], "dependsOn": [refs[name] for name in crate.dependencies if name in refs]} for crate in crates
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def reference(crate: Crate) -> str:
    return f"pkg:cargo/{crate.name}@{crate.version}"


def component(crate: Crate, refs: dict[str, str]) -> dict:
    entry: dict = {"type": "library", "bom-ref": refs[crate.id], "name": crate.name, "version": crate.version}
    if crate.licence != "NOASSERTION":
        entry["licenses"] = [{"expression": crate.licence}]
    # The crates of this repository are in no registry.
    if crate.checksum:
        entry |= {"hashes": [{"alg": "SHA-256", "content": crate.checksum}], "purl": reference(crate)}
    if crate.repository:
        entry["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return entry
