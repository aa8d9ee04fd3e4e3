//! Who makes clips: one provider a module.

pub mod offline;
