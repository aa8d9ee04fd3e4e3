//! The OpenAI REST surface over the Triptych contract. It keeps no state of its own and never names an upstream.

pub mod core;
