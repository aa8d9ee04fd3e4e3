//! The OpenAI REST surface over the Triptych contract.
