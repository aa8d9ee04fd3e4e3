#!/usr/bin/env bash
# Tries a release as its users would: deploy/try-release.sh ARCHIVE.tar.gz
#
# Unpacks the archive, starts its executable with nothing else in its file system, calls each API, and checks the Debian package in the
# same directory. Needs curl, python3 and openssl; without root, user namespaces.
set -euo pipefail
archive=$(realpath "$1")
place=$(dirname "$archive")
work=$(mktemp -d)
processes=()
skipped=()
# shellcheck disable=SC2329 # the trap calls it
finish() {
    local status=$?
    for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    [[ $status == 0 ]] || tail -n 20 "$work"/*.log
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
fail() { echo "FAILED: $*"; exit 1; }
passed() { echo "ok: $*"; }

(cd "$place" && sha256sum --check --quiet --strict --ignore-missing SHA256SUMS) || fail "the digests differ from SHA256SUMS"
passed "digests"

# The archive has one directory, which becomes the root directory of the executable.
tar -xzf "$archive" -C "$work"
root=$(echo "$work"/triptych-*)
for file in triptych README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT THIRD-PARTY-LICENSES triptych.cdx.json triptych.toml \
    completions/{triptych.bash,_triptych,triptych.fish} man/triptych.1 docs/install.md systemd/triptych.service \
    deploy/compose/{compose,cluster}.yaml deploy/haproxy/cluster.cfg deploy/kubernetes/{all-in-one,cluster}/kustomization.yaml \
    deploy/grafana/overview.json; do
    [[ -s $root/$file ]] || fail "$file is missing in the archive"
done
"$root/deploy/compose/cluster-secrets" "$work/secrets" >/dev/null || fail "cluster-secrets of the archive cannot be run"
bash -n "$root/completions/triptych.bash"
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["bomFormat"] == "CycloneDX"' "$root/triptych.cdx.json"
passed "files of the archive"

# In a chroot, so that the executable cannot use libraries of this machine.
alone=("$(command -v chroot)" "$root")
if [[ $(id -u) != 0 ]]; then alone=("$(command -v unshare)" --map-root-user "${alone[@]}"); fi
if ! "${alone[@]}" /triptych --version >/dev/null 2>&1; then
    skipped+=("start without another file: the executable needs shared libraries, or chroot is not permitted here")
    alone=()
fi
become() { # become VARIABLE=VALUE... -- ARGUMENT...: replaces this process
    local variables=()
    while [[ $1 != -- ]]; do variables+=("$1"); shift; done
    shift
    cd "$root"
    if [[ ${#alone[@]} -gt 0 ]]; then exec env -i "${variables[@]}" "${alone[@]}" /triptych "$@"; fi
    exec env -i "${variables[@]}" ./triptych "$@"
}
triptych() { (become "$@"); }
start() { # start NAME VARIABLE=VALUE... -- ARGUMENT...: in the background, with its output in NAME.log
    become "${@:2}" >"$work/$1.log" 2>&1 &
    processes+=("$!")
}
address() { # address NAME LABEL: waits for the start-up banner, and prints the address in it
    for _ in $(seq 300); do
        if grep -q 'Settings: ' "$work/$1.log"; then
            sed -nE "s,^ *$2 +(http://)?([0-9.:]+).*,\2,p" "$work/$1.log"
            return
        fi
        sleep 0.1
    done
    fail "$1 has not started" >&2
}
call() { curl --silent --show-error --fail --max-time 60 -H 'Content-Type: application/json' "$@"; }

listen=(TRIPTYCH_REST_LISTEN=127.0.0.1:0 TRIPTYCH_GRPC_LISTEN=127.0.0.1:0 TRIPTYCH_DATA_DIR=/data)
[[ ${#alone[@]} -gt 0 ]] || listen[2]=TRIPTYCH_DATA_DIR=$work/data
# The settings file of the package names a directory that does not exist here; variables precede it.
start server "${listen[@]}" -- --config triptych.toml
server=$!
rest=$(address server REST)
grpc=$(address server gRPC)
triptych -- health --url "http://$rest"
triptych -- health --core "http://$grpc"
passed "start and health, over REST and gRPC"

chat='{"messages": [{"role": "user", "content": "Hello"}]}'
[[ $(call "http://$rest/v1/chat/completions" -d "$chat") == *'"object":"chat.completion"'* ]] || fail "chat"
[[ $(call "http://$rest/v1/images/generations" -d '{"prompt": "A lighthouse", "size": "256x256"}') == *'"url":'* ]] || fail "images"
video=$(call "http://$rest/v1/videos" -d '{"prompt": "A lighthouse", "size": "64x64", "seconds": 1}')
id=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["id"])' "$video")
for _ in $(seq 300); do
    video=$(call "http://$rest/v1/videos/$id")
    if [[ $video == *'"status":"completed"'* ]]; then break; fi
    sleep 0.1
done
call "http://$rest/v1/videos/$id/content" -o "$work/clip.mp4"
[[ $(head -c 8 "$work/clip.mp4" | tail -c 4) == ftyp ]] || fail "videos: not an MP4 file"
passed "chat, images and videos over REST"

# A gateway calls the core by gRPC: it is the gRPC client that needs nothing else.
start gateway "${listen[0]}" -- gateway --core "http://$grpc"
[[ $(call "http://$(address gateway REST)/v1/chat/completions" -d "$chat") == *'"object":"chat.completion"'* ]] || fail "chat over gRPC"
passed "chat over gRPC"

# An upstream with TLS, by a name: the executable resolves it without libraries for that, and verifies the certificate.
mkdir -p "$root/etc"
echo "127.0.0.1 upstream.test" >"$root/etc/hosts"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=upstream.test -addext subjectAltName=DNS:upstream.test \
    -addext basicConstraints=critical,CA:FALSE \
    -keyout "$work/key.pem" -out "$root/etc/ca.pem" 2>/dev/null
cat >"$work/upstream.py" <<'PYTHON'
import http.server, ssl, sys

class Models(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"object": "list", "data": [{"id": "m", "object": "model"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.HTTPServer(("127.0.0.1", 0), Models)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = tls.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
python3 "$work/upstream.py" "$root/etc/ca.pem" "$work/key.pem" >"$work/port" 2>"$work/upstream.log" &
processes+=("$!")
for _ in $(seq 100); do [[ -s $work/port ]] && break; sleep 0.1; done
if [[ ${#alone[@]} -gt 0 ]]; then
    upstream=("CHAT_BASE_URL=https://upstream.test:$(<"$work/port")/v1" CHAT_MODEL=m)
    triptych "${upstream[@]}" SSL_CERT_FILE=/etc/ca.pem -- check --probe || fail "name resolution and TLS"
    # The same without the certificate must fail: it is verified.
    ! triptych "${upstream[@]}" -- check --probe >/dev/null 2>&1 || fail "an unknown certificate was accepted"
    passed "name resolution and TLS"
else
    skipped+=("name resolution and TLS: the names of this machine cannot be changed")
fi

kill -TERM "$server"
wait "$server" || fail "the exit status after SIGTERM is $?"
passed "shutdown"

package=$(find "$place" -maxdepth 1 -name 'triptych_*.deb')
if [[ -z $package ]]; then
    skipped+=("Debian package: there is none beside the archive")
elif ! command -v dpkg-deb >/dev/null; then
    skipped+=("Debian package: dpkg-deb is not installed")
else
    installed=$work/installed
    mkdir "$installed"
    dpkg-deb --extract "$package" "$installed"
    dpkg-deb --control "$package" "$installed/DEBIAN"
    cmp "$installed/usr/bin/triptych" "$root/triptych"
    for file in etc/triptych/triptych.toml etc/triptych/triptych.env usr/share/man/man1/triptych.1.gz usr/share/doc/triptych/copyright \
        usr/share/doc/triptych/THIRD-PARTY-LICENSES usr/share/bash-completion/completions/triptych usr/lib/sysusers.d/triptych.conf; do
        [[ -s $installed/$file ]] || fail "$file is missing in the package"
    done
    while read -r file; do [[ -f $installed$file ]] || fail "conffile $file is missing in the package"; done <"$installed/DEBIAN/conffiles"
    for script in postinst prerm postrm; do sh -n "$installed/DEBIAN/$script"; done
    [[ $(stat -c %a "$installed/etc/triptych/triptych.env") == 600 ]] || fail "the file for secrets is readable for others"
    # The programs of the units are in the package.
    while read -r program; do
        [[ $program == /bin/* || $program == /usr/bin/find || -x $installed$program ]] || fail "$program of a unit is missing in the package"
    done < <(sed -nE 's/^Exec[A-Za-z]+=-?([^ ]+).*/\1/p' "$installed"/usr/lib/systemd/system/triptych*.service)
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers --root "$installed"
        grep -q '^triptych:' "$installed/etc/passwd" || fail "the package creates no user"
    fi
    passed "Debian package"
fi

for reason in "${skipped[@]}"; do echo "SKIPPED $reason"; done
