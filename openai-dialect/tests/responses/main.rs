//! The Responses API: requests to chat requests, and chat responses to responses and their events.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod annotations;
mod calls;
mod endings;
mod errors;
mod events;
mod images;
mod input;
mod properties;
mod replay;
mod settings;
mod upstream;
