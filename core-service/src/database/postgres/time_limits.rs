//! Time limits of this process. The server has shorter ones, which do not help if the network is lost.

use std::time::Duration;

/// How long a call waits for a connection. An unreachable database is an error after this time.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum duration of a write without its commit, and of a commit. The server has shorter limits of its own; these are for a
/// network that lost the connection.
pub(in crate::database) const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// The maximum duration of a statement that reads: longer than `statement_timeout` of the server, 10 seconds.
pub(in crate::database) const READ_TIMEOUT: Duration = Duration::from_secs(12);
