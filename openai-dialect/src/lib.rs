//! OpenAI's JSON to and from the contract, loss-free in both directions.
