//! What is published about the messages is as the code is: schemas, the AsyncAPI document, its examples, and docs/MESSAGES.md.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod document;
mod published;
mod scenes;
mod story;
