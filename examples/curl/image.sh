#!/usr/bin/env bash
# An image, and an edit of it. Writes sunset.png.
set -euo pipefail
url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}

response=$(curl -sS --fail-with-body "$url/images/generations" -H "Content-Type: application/json" \
    -d '{"prompt": "A beautiful sunset over mountains", "size": "1024x1024"}')
curl -sS --fail-with-body -o sunset.png "$(grep -o 'http[^"]*' <<<"$response")"

curl -sS --fail-with-body "$url/images/edits" -F image=@sunset.png -F prompt="with a lighthouse" -F size=1024x1024
echo
