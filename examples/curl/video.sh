#!/usr/bin/env bash
# A video: created, followed by its events until it is complete, downloaded as waves.mp4.
set -euo pipefail
url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}

# The idempotency key makes a retry after a connection loss safe.
response=$(curl -sS --fail-with-body "$url/videos" -H "Content-Type: application/json" \
    -H "Idempotency-Key: waves-$(date +%s)-$$" -d '{"prompt": "Waves at night, slow zoom", "size": "640x360", "seconds": 2}')
id=$(grep -o 'video_[a-z0-9]*' <<<"$response" | head -n 1)

curl -sSN --fail-with-body "$url/videos/$id/events"
curl -sS --fail-with-body -o waves.mp4 "$url/videos/$id/content"
ls -l waves.mp4
