//! What makes files and their names durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
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
    replace(path, pieces, 0o600)
}

/// As [`replace_file`], but whoever can reach the file may read it, as far as the process's umask lets them.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_readable_file(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    replace(path, pieces, 0o644)
}

fn replace(path: &Path, pieces: &[&[u8]], mode: u32) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("no file in a folder"));
    };
    let mut temporary = std::ffi::OsString::from(TEMPORARY);
    temporary.push(name);
    let temporary = folder.join(temporary);
    let written = write_synced(&temporary, pieces, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: what stays is written over the next time.
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_directory(folder))
}

/// A file that is not whole yet: it is written beside where it shall be, under that name and [`Self::SUFFIX`], and deleted unless
/// it is [kept](Self::keep). Only its owner may read it. It never takes the place of another one.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    to: PathBuf,
}

/// Why there is no whole file.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// There is one of this name.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PartialError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

impl Partial {
    /// What its name ends with until it is whole.
    pub const SUFFIX: &str = ".partial";

    /// Begins it.
    ///
    /// # Errors
    /// Something is at `to` already, a link that leads nowhere included, or somebody else writes it.
    pub fn create(to: &Path) -> Result<Self, PartialError> {
        if to.symlink_metadata().is_ok() {
            return Err(PartialError::Exists(to.to_owned()));
        }
        let mut path = to.as_os_str().to_owned();
        path.push(Self::SUFFIX);
        let path = PathBuf::from(path);
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Self { file, path, to: to.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(PartialError::Exists(path)),
            Err(error) => Err(PartialError::at(&path)(error)),
        }
    }

    /// Where it is written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its name until it is whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its own name. What was written must be on its disk.
    ///
    /// # Errors
    /// There is one of that name by now, or the file system refuses.
    pub fn keep(self) -> Result<(), PartialError> {
        let to = &self.to;
        if to.symlink_metadata().is_ok() {
            return Err(PartialError::Exists(to.clone()));
        }
        fs::rename(&self.path, to).map_err(PartialError::at(to))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_directory(folder).map_err(PartialError::at(folder))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `keep` there is nothing under this name any more.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_synced(path: &Path, pieces: &[&[u8]], mode: u32) -> io::Result<()> {
    // What a power cut left there, a link included, goes first.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
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
        replace_readable_file(&path, &[b"third"]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let beside = folder.path().join("beside");
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside).unwrap();
        assert_eq!(mode(&path), mode(&beside), "what the umask leaves");
    }

    #[test]
    fn a_partial_file_has_its_name_only_when_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("a");
        drop(Partial::create(&to).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let partial = Partial::create(&to).unwrap();
        assert!(matches!(Partial::create(&to), Err(PartialError::Exists(_))), "two write it");
        partial.file().write_all(b"whole").unwrap();
        partial.keep().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        assert!(matches!(Partial::create(&to), Err(PartialError::Exists(_))), "it is replaced");
        std::os::unix::fs::symlink("nowhere", folder.path().join("b")).unwrap();
        assert!(
            matches!(Partial::create(&folder.path().join("b")), Err(PartialError::Exists(_))),
            "a link is followed"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
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
