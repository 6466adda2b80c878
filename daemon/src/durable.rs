//! What makes files and their names durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Names of files that are being written begin with this.
pub const TEMPORARY: &str = ".part-";

/// Puts a directory on disk as it is: what has been created, renamed or deleted in it stays so over a power cut.
///
/// # Errors
/// It cannot be opened, or the disk fails.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Writes a file, in pieces, in place of one that may be there: after a power cut at any moment the name leads to all of the
/// new contents or all of the old. Only its owner may read it. One writer a file.
///
/// # Errors
/// The path has no folder or no name, or the file system refuses; then what was there before is there still.
pub fn replace_file(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("no file in a folder"));
    };
    let mut temporary = std::ffi::OsString::from(TEMPORARY);
    temporary.push(name);
    let temporary = folder.join(temporary);
    let written = write_synced(&temporary, pieces).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: what stays is written over the next time.
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_directory(folder))
}

fn write_synced(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    // What a power cut left there, a link included, goes first.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.b");
        replace_file(&path, &[b"first"]).unwrap();
        // What an interrupted write left behind is in nobody's way.
        fs::write(folder.path().join(".part-a.b"), "half").unwrap();
        replace_file(&path, &[b"sec", b"", b"ond"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "kept").unwrap();
        assert!(replace_file(&path, &[b"new"]).is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written is left");
        assert!(replace_file(Path::new("/"), &[b"new"]).is_err());
    }
}
