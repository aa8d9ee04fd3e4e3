"""A chat upstream that sends what the built-in engine does not: reasoning, refusals, log probabilities and citations."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]}
CITATION = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "https://example.org/a", "title": "A page"}}
# The deltas of a response, and its log probabilities, for the text of the last message.
SCRIPTS = {
    "reason": ([{"reasoning_content": "Let me see. "}, {"reasoning_content": "Two."}, {"content": "Hi"}], None),
    "refuse": ([{"refusal": "I cannot "}, {"refusal": "do that."}], None),
    "probable": ([{"content": "Hi"}], {"content": [TOKEN], "refusal": None}),
    "cite": ([{"content": "Hi"}, {"content": "", "annotations": [CITATION]}], None),
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _text(message):
    """Returns the text of a message, whose content may be parts."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _completion(deltas, logprobs):
    """Returns the response that has all deltas of a script in one message."""
    message = {"role": "assistant", "content": None, "refusal": None}
    for delta in deltas:
        for name, value in delta.items():
            message[name] = value if message.get(name) is None else message[name] + value
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def _chunks(deltas, logprobs):
    """Yields the chunks of a stream."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    for delta in [{"role": "assistant", "content": ""}, *deltas]:
        yield chunk | {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs if delta.get("content") else None, "finish_reason": None}]}
    yield chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield chunk | {"choices": [], "usage": USAGE}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        script = SCRIPTS[_text(request["messages"][-1])]
        if request.get("stream"):
            body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(*script)) + "data: [DONE]\n\n"
        else:
            body = json.dumps(_completion(*script))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if request.get("stream") else "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@contextmanager
def chat_upstream():
    """Serves the scripts on a free port. Yields the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
