#!/usr/bin/env bash
# A chat completion, non-streaming and streaming.
set -euo pipefail
url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}

curl -sS --fail-with-body "$url/chat/completions" -H "Content-Type: application/json" \
    -d '{"model": "qwen3-next-80b-a3b-instruct", "messages": [{"role": "user", "content": "What is AI?"}]}'
echo
curl -sSN --fail-with-body "$url/chat/completions" -H "Content-Type: application/json" \
    -d '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'
