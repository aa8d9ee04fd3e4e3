"""Runs the examples of the README, one after the other as one program."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from server import API_KEY, Server

README = Path(__file__).parents[1] / "README.md"


class ReadmeTest(unittest.TestCase):
    def test_examples_run(self) -> None:
        program = "\n".join(re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL))
        with Server() as server, tempfile.TemporaryDirectory() as directory:
            program = program.replace("127.0.0.1:50051", server.address)
            environment = {**os.environ, "TRIPTYCH_API_KEY": API_KEY}
            command = [sys.executable, "-W", "error", "-c", program]
            output = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)
            self.assertEqual((output.returncode, output.stderr), (0, ""), output.stdout)
            self.assertIn("100 %\nno such video", output.stdout)
            for name in ("lighthouse.png", "waves.mp4"):
                self.assertGreater(Path(directory, name).stat().st_size, 1000)


if __name__ == "__main__":
    unittest.main()
