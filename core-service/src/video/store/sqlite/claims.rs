//! The statements that claim jobs.

/// Which due jobs a claim considers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Select {
    /// Jobs that are not queued, `$4` being the providers to leave out.
    InProgress,
    /// Queued jobs of the owners after `$5`, by name, `$4` being the providers to leave out.
    QueuedAfter,
    /// Queued jobs of the owners up to `$5`.
    QueuedUpTo,
}

/// Leases one row, `$1` to `$3` being the worker, the end of the lease, and now. PostgreSQL adds FOR UPDATE SKIP LOCKED to
/// the inner query.
macro_rules! claim_statement {
    ($where:literal, $order:literal) => {
        concat!(
            "UPDATE video_jobs SET lease_owner = $1, lease_until = $2, fence = fence + 1 WHERE id = (SELECT id FROM \
             video_jobs WHERE due_at <= $3 AND lease_until <= $3 AND ",
            $where,
            " ORDER BY ",
            $order,
            " LIMIT 1) RETURNING *"
        )
    };
}

impl Select {
    /// Returns the statement that claims one of them.
    pub(super) const fn claim_statement(self) -> &'static str {
        match self {
            Self::InProgress => claim_statement!(
                "phase <> 'queued' AND provider_id NOT IN (SELECT value FROM json_each($4))",
                "due_at, id"
            ),
            Self::QueuedAfter => claim_statement!(
                "phase = 'queued' AND owner > $5 AND provider_id NOT IN (SELECT value FROM json_each($4))",
                "owner, due_at, id"
            ),
            Self::QueuedUpTo => claim_statement!(
                "phase = 'queued' AND owner <= $5 AND provider_id NOT IN (SELECT value FROM json_each($4))",
                "owner, due_at, id"
            ),
        }
    }
}
