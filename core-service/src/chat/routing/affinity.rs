//! Session affinity by weighted rendezvous hashing: the calls of one session go to one target, so that they find the beginning of
//! their conversation in the target's prompt cache.
//!
//! Every pair of session and target has a score; the highest wins. A target that leaves moves only its own sessions and
//! gets them back when it returns. All processes compute the same scores.

use super::target::Target;

/// Returns the index of the session's target among the candidates, which must not be empty.
pub(super) fn choose(session: &str, candidates: &[&Target]) -> usize {
    let scores = candidates.iter().map(|target| score(session, target));
    scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index)
}

/// Returns `-weight / ln(u)`, where `u` is a hash in the interval (0, 1): the probability that a target has the highest score is
/// in proportion to its weight.
fn score(session: &str, target: &Target) -> f64 {
    let parts = [session, "\0", &target.name, "\0", &target.model];
    // FNV-1a with the finalizer of MurmurHash3: without it the high bits of short texts are too similar.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let upper = u32::try_from((hash ^ (hash >> 33)) >> 32).unwrap_or(u32::MAX);
    let uniform = (f64::from(upper) + 0.5) / (f64::from(u32::MAX) + 1.0);
    -f64::from(target.weight) / uniform.ln()
}
