"""The parts of deploy/release: building, packing, licences of dependencies, and the bill of materials."""
