//! The lock that makes writes serial.

use crate::database::driver::DbConnection;

/// Takes the lock of the database's writers until the end of the transaction. The key of the lock is "triptych" in ASCII. The later
/// statements of the transaction see what all earlier writers have committed.
pub(super) const LOCK: &str = "SELECT 1 FROM pg_advisory_xact_lock(8390884987456021352)";
const _: () = assert!(i64::from_be_bytes(*b"triptych") == 8_390_884_987_456_021_352);

/// Waits for the lock of the database's writers within a transaction.
pub(in crate::database) async fn lock(transaction: &mut DbConnection) -> Result<(), sqlx::Error> {
    sqlx::query(LOCK).execute(transaction).await.map(drop)
}
