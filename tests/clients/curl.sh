#!/usr/bin/env bash
# The API with curl. Needs curl, and python3 to read JSON.
set -euo pipefail
: "${TRIPTYCH_REST:?the URL of the REST API}"
cd "$(mktemp -d)"

# Prints a member of the JSON on standard input: member data 0 url
member() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if key.isdigit() else key]
print(value)' "$@"; }
pass() { echo "  ok   $*"; }
fail() { echo "  FAIL $*" >&2; exit 1; }
post() { curl -sS --fail-with-body "$TRIPTYCH_REST$1" -H "Content-Type: application/json" -d "$2"; }

response=$(post /v1/chat/completions '{"model":"qwen3-next-80b-a3b-instruct","messages":[{"role":"user","content":"What is AI?"}]}')
[[ -n $(member choices 0 message content <<<"$response") ]] || fail "an empty completion"
pass "chat completion is returned"

curl -sSN --fail-with-body "$TRIPTYCH_REST/v1/chat/completions" -H "Content-Type: application/json" \
    -d '{"messages":[{"role":"user","content":"Hello"}],"stream":true}' >stream
grep -q '^data: {' stream && [[ $(grep -v '^$' stream | tail -1) == "data: [DONE]" ]] || fail "the stream: $(tail -c 300 stream)"
pass "chat completion is streamed, with the default model if none is named"

url=$(post /v1/images/generations '{"prompt":"A lighthouse in a storm","size":"512x512"}' | member data 0 url)
curl -sS --fail-with-body -o image.png "$url"
[[ $(head -c 4 image.png | tail -c 3) == PNG ]] || fail "no PNG at $url"
etag=$(curl -sSI "$url" | tr -d '\r' | sed -n 's/^etag: //Ip')
[[ $(curl -sS -o /dev/null -w '%{http_code}' -H "If-None-Match: $etag" "$url") == 304 ]] || fail "no 304 for $etag"
[[ $(curl -sS -o part -w '%{http_code}' -H "Range: bytes=1-3" "$url") == 206 && $(cat part) == PNG ]] || fail "no range"
[[ $(curl -sS -o /dev/null -w '%{http_code}' -H "Range: bytes=99999999-" "$url") == 416 ]] || fail "no 416"
pass "image is generated and downloaded: complete, as a range, and not modified"

curl -sS --fail-with-body "$TRIPTYCH_REST/v1/images/edits" -F prompt="in the snow" -F image=@image.png -F size=512x512 -F n=1 >edited
[[ $(member data 0 url <edited) == http* ]] || fail "$(cat edited)"
pass "image is edited"

id=$(curl -sS --fail-with-body "$TRIPTYCH_REST/v1/videos" -F prompt="Slow camera pan" -F input_reference=@image.png -F size=320x180 -F seconds=1 | member id)
# The stream ends after the final state.
curl -sSN --max-time 120 "$TRIPTYCH_REST/v1/videos/$id/events" >events
grep '^data: ' events | tail -1 | cut -c7- >last
[[ $(member status <last) == completed && $(member progress <last) == 100 ]] || fail "$(cat last)"
curl -sS --fail-with-body -o video.mp4 "$TRIPTYCH_REST/v1/videos/$id/content"
cmp <(curl -sS "$(member video_url <last)") video.mp4
curl -sS --fail-with-body -o thumbnail "$TRIPTYCH_REST/v1/videos/$id/content?variant=thumbnail"
head=$(curl -sSI "$TRIPTYCH_REST/v1/videos/$id/content" | tr -d '\r')
grep -qi "^content-length: $(wc -c <video.mp4)$" <<<"$head" && grep -qi '^accept-ranges: bytes' <<<"$head" || fail "$head"
pass "video is created, followed by its events, and downloaded"

id=$(post /v1/videos '{"prompt":"Waves","seconds":5}' | member id)
[[ $(curl -sS -X POST "$TRIPTYCH_REST/v1/videos/$id/cancel" | member status) == failed ]] || fail "not cancelled"
[[ $(curl -sS "$TRIPTYCH_REST/v1/videos/$id" | member error code) == cancelled ]] || fail "no error code after the cancel"
[[ $(curl -sS -X DELETE "$TRIPTYCH_REST/v1/videos/$id" | member deleted) == True ]] || fail "not deleted"
pass "video is cancelled and deleted"

for key in same same; do
    curl -sS --fail-with-body "$TRIPTYCH_REST/v1/videos" -H "Content-Type: application/json" -H "Idempotency-Key: curl-$$-$key" \
        -d '{"prompt":"Once","size":"320x180","seconds":1}' | member id
done | sort -u >ids
[[ $(wc -l <ids) == 1 ]] || fail "one idempotency key created two jobs"
pass "reused idempotency key returns the same video"

[[ $(curl -sS "$TRIPTYCH_REST/healthz" | member status) == ok ]] || fail "not healthy"
curl -sS --fail-with-body "$TRIPTYCH_REST/readyz" >/dev/null
curl -sS --fail-with-body "$TRIPTYCH_REST/metrics" >metrics && grep -q "^# TYPE " metrics || fail "no metrics"
[[ $(curl -sS "$TRIPTYCH_REST/openapi.json" | member openapi) == 3.1* ]] || fail "no OpenAPI document"
curl -sS --fail-with-body "$TRIPTYCH_REST/v1/models" | member data 0 id >/dev/null
pass "health, metrics, OpenAPI document and models are served"
