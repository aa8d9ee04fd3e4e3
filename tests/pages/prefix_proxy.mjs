// A reverse proxy as in docs/pages.md: it removes a prefix from the paths, and sends nothing else on.
import { once } from "node:events";
import { createServer, request } from "node:http";

/// Returns a running proxy of the gateway at `upstream`: `url` with the prefix and a slash at its end, and `stop()`.
///
/// The gateway sees its own address as the host, as behind nginx without `proxy_set_header`. Paths outside of the prefix are answered
/// 404, as those of a server that has other content there.
export async function startProxy(upstream, prefix) {
  const server = createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${prefix}/`)) return outgoing.writeHead(404).end();
    const { host } = new URL(upstream);
    const options = { method: incoming.method, headers: { ...incoming.headers, host } };
    const forwarded = request(new URL(incoming.url.slice(prefix.length), upstream), options, (response) => {
      outgoing.writeHead(response.statusCode, response.headers);
      outgoing.flushHeaders();
      response.pipe(outgoing);
    });
    forwarded.on("error", () => outgoing.destroy());
    outgoing.on("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}${prefix}/`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
