//! What makes the names of files durable.

use std::{fs::File, io, path::Path};

/// Puts a directory on disk as it is: what has been created, renamed or deleted in it stays so over a power cut.
///
/// # Errors
/// It cannot be opened, or the disk fails.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
