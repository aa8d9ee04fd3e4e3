// The playground's panel "Images".

/// Fills the element of the panel.
export function mountImages(_root) {}
