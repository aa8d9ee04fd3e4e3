// The playground's panel "Chat".

/// Fills the element of the panel.
export function mountChat(_root) {}
