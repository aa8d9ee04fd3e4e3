// The playground's panel "Videos".

/// Fills the element of the panel.
export function mountVideos(_root) {}
