"""Checks the bill of materials of a release with the schema of CycloneDX, and its references."""

import json
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from .report import Report


def check(report: Report, directory: Path) -> None:
    files = sorted(directory.glob("*.cdx.json"))
    report.expect(files, f"{directory}: no bill of materials")
    for file in files:
        text = file.read_text()
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        report.expect(error is None, f"{file.name}: {error}")
        bill = json.loads(text)
        refs = {part["bom-ref"] for part in [bill["metadata"]["component"], *bill["components"]]}
        for part in bill["dependencies"]:
            report.expect(
                {part["ref"], *part["dependsOn"]} <= refs, f"{file.name}: {part['ref']}: an unknown component"
            )
        unlicensed = [part["name"] for part in bill["components"] if "licenses" not in part]
        report.expect(not unlicensed, f"{file.name}: no licence of {unlicensed}")
