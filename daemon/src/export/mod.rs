//! Everything that waits, in a file: for a box that never comes online.
//!
//! # The file
//! JSON lines in UTF-8, each ended by a line feed; nothing but a line at a time need be held in memory.
//!
//! | line | |
//! |---|---|
//! | first | the [`Header`]: `format` (`snowgate-outbox`), `version` (1), `gateway`, `boot_id`, `created_at`, `clock_synchronised`, `signing_key`, `messages` |
//! | one a message, in the order in which they were committed | `row`, `class`, `lane`, `topic`, `retain`, `committed_at`, `synchronised`, `payload` (base64) |
//! | last | `sha256` of all lines before, line ends included, and `signature`: Ed25519 over `snowgate-outbox 1 SHA256` and a line feed; both as hex |
//!
//! `synchronised` is true where `committed_at` is right: the wall clock was, or its boot has learnt the time since. The version
//! changes when an older program could no longer read a file rightly.
//!
//! # What is promised
//! - The messages are those of one moment, whatever the daemon does meanwhile; losses not yet announced are among them.
//! - A file under its final name is whole: it is written under another one (`.partial`), synced, and renamed.
//! - No message leaves the store before the file has been synced, read back and verified.
//! - A changed, missing or added byte anywhere is found before anything is published.

mod file;
mod format;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use self::{
    file::{Export, ExportError, Exported},
    format::Header,
    read::{ReadError, Reader, Verified, verify},
};
