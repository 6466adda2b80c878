//! Power cuts, full disks and failing ones, at every file operation the store makes.
//!
//! The store under test is the real one, with its own pragmas and its own thread; only the files below SQLite are
//! simulated. [`disk`] is what a disk does and forgets, [`vfs`] lets SQLite work on it, [`broker`] is the far end of a
//! bad line, [`books`] says what the store must hold, and [`world`] plays scripts against all of them.

mod books;
mod broker;
mod disk;
mod script;
mod tests;
mod vfs;
mod world;

pub(super) use self::vfs::for_path as vfs_for;
