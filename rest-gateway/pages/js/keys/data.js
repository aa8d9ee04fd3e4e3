// The calls for administrators.
import { requestJson } from "../api.js";

/// The entries of a list that are loaded at once.
const PAGE_SIZE = 25;

const BASE = "admin/v1";

/// Returns a page of a list, `{ data, has_more, last_id }`, after the entry with this id. `path` is `keys` or `ledger/holds`;
/// parameters with an empty value are left out.
export function loadPage(path, parameters = {}, after = null) {
  const query = new URLSearchParams({ limit: PAGE_SIZE });
  for (const [name, value] of Object.entries({ ...parameters, after })) if (value) query.set(name, value);
  return requestJson(`${BASE}/${path}?${query}`, { askKey: false });
}

/// Returns the path of a key.
export const pathOfKey = (name, action = "") => `keys/${encodeURIComponent(name)}${action && `/${action}`}`;

/// Returns the path to resolve a hold.
export const pathOfResolution = (id) => `ledger/holds/${encodeURIComponent(id)}/resolve`;

/// Sends a change.
export const send = (path, json) => requestJson(`${BASE}/${path}`, { json });

/// Compares the ledger with its entries: `{ consistent, discrepancies }`.
export const verifyLedger = () => requestJson(`${BASE}/ledger/verify`);
