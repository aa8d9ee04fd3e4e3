//! Finished files: put, describe, read in ranges, remove; over an object store.
