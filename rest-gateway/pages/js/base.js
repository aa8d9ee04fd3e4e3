// The base URL of the gateway, from the URL of the page. Behind a proxy it may have a path.

/// The URL of the overview, with a slash at its end.
export const BASE = new URL(".", document.baseURI).href;

/// Returns the URL of a path of the gateway, such as `v1/models`.
export function url(path) {
  return new URL(path, BASE).href;
}

/// Returns the URL from which the page can show a stored file. Links in responses may name another origin (`rest.public_base_url`)
/// or lack the path prefix of a proxy; the same file is below `media/` of the page's own gateway.
export function mediaUrl(link) {
  const { pathname, search } = new URL(link, BASE);
  const start = pathname.lastIndexOf("/media/");
  return start < 0 ? link : url(pathname.slice(start + 1) + search);
}
