// Values in the session storage of the tab. They survive a reload, and the browser deletes them with the tab.

/// Returns a stored value, or `fallback`.
export function load(name, fallback) {
  try {
    return JSON.parse(sessionStorage.getItem(`triptych.playground.${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

/// Stores a value, and returns whether there was room for it.
export function save(name, value) {
  try {
    sessionStorage.setItem(`triptych.playground.${name}`, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
