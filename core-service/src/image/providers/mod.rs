//! Who makes pictures.

pub mod offline;
