//! Taking a box's state.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;
use tar::{Builder, EntryType, Header};

use super::{
    HANDED_OVER, HandoverError, Manifest, Mark,
    import::verify,
    manifest::{self, Listed},
};
use crate::{
    config::last_good,
    durable::{Partial, TEMPORARY},
    store::Offline,
};

/// What is to be taken, and where to.
#[derive(Debug)]
pub struct Export<'a> {
    /// Whose state it is.
    pub gateway: &'a str,
    /// The data directory.
    pub data: &'a Path,
    /// The archive; it must not be there yet.
    pub to: &'a Path,
    /// The box goes on: this is a backup.
    pub keep: bool,
    /// The time.
    pub now: Timestamp,
}

impl Export<'_> {
    /// Takes it. Unless it is a backup, the box is handed over once the archive is whole and on its disk.
    ///
    /// # Errors
    /// A daemon works there, there is nothing to take, or the file system refuses: then the box may go on, and under the name of
    /// the archive there is nothing.
    pub fn write(&self) -> Result<Manifest, HandoverError> {
        let _offline = Offline::take(self.data)?;
        if !self.data.join(crate::store::FILE).exists() {
            return Err(HandoverError::Nothing(self.data.to_owned()));
        }
        let partial = Partial::create(self.to)?;
        let manifest = self.write_whole(&partial)?;
        partial.keep()?;
        if !self.keep {
            let mark = Mark { at: self.now, file: self.to.to_owned() };
            mark.leave(self.data).map_err(HandoverError::file(self.data.join(HANDED_OVER)))?;
        }
        Ok(manifest)
    }

    fn write_whole(&self, partial: &Partial) -> Result<Manifest, HandoverError> {
        let path = partial.path();
        let failed = |source| HandoverError::File { path: path.to_owned(), source };
        let mut archive = Builder::new(io::BufWriter::with_capacity(1 << 20, partial.file()));
        let mut files = Vec::new();
        for file in files_below(self.data)? {
            files.push(append(&mut archive, self.data, &file, path)?);
        }
        let manifest = Manifest::new(self.gateway, self.now, !self.keep, files);
        let text = serde_json::to_vec(&manifest).map_err(|error| failed(error.into()))?;
        let mut header = header(text.len() as u64);
        archive.append_data(&mut header, manifest::NAME, &text[..]).map_err(failed)?;
        let mut buffered = archive.into_inner().map_err(failed)?;
        buffered.flush().map_err(failed)?;
        buffered.get_ref().sync_all().map_err(failed)?;
        let read = verify(path)?;
        if read != manifest {
            return Err(HandoverError::damaged(path, "it reads back otherwise than it was written"));
        }
        Ok(manifest)
    }
}

/// Relative paths of everything that belongs to the box's state, in the order of names.
fn files_below(data: &Path) -> Result<Vec<String>, HandoverError> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        let at = data.join(&folder);
        for entry in fs::read_dir(&at).map_err(HandoverError::file(&at))? {
            let entry = entry.map_err(HandoverError::file(&at))?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(HandoverError::file(data.join(&path)))?;
            let Some(name) = path.to_str() else { return Err(HandoverError::Strange(data.join(&path))) };
            if !is_state(name, &entry.file_name().to_string_lossy()) {
                continue;
            }
            match kind {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => files.push(name.to_owned()),
                _ => return Err(HandoverError::Strange(data.join(&path))),
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether what lies there belongs to the box and not only to the process that ran.
fn is_state(path: &str, name: &str) -> bool {
    let of_the_process = [crate::store::LOCK, HANDED_OVER, manifest::NAME].contains(&path);
    let configuration = last_good::is_copy(path);
    let set_aside = path.starts_with(crate::store::FILE) && !["", "-wal"].contains(&&path[crate::store::FILE.len()..]);
    !of_the_process && !configuration && !set_aside && !name.starts_with(TEMPORARY)
}

fn header(bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(bytes);
    header
}

/// Appends a file; says what it is.
fn append(
    archive: &mut Builder<impl io::Write>,
    data: &Path,
    path: &str,
    partial: &Path,
) -> Result<Listed, HandoverError> {
    let from = data.join(path);
    let file = File::open(&from).map_err(HandoverError::file(&from))?;
    let bytes = file.metadata().map_err(HandoverError::file(&from))?.len();
    let mut hashed = Hashed { from: file.take(bytes), hash: Sha256::new(), read: 0 };
    archive.append_data(&mut header(bytes), path, &mut hashed).map_err(HandoverError::file(partial))?;
    if hashed.read != bytes {
        let shrunk = io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read");
        return Err(HandoverError::File { path: from, source: shrunk });
    }
    Ok(Listed { path: path.to_owned(), bytes, sha256: hex(hashed.hash.finalize()) })
}

/// Hashes and counts what is read through it.
pub(super) struct Hashed<R> {
    pub(super) from: R,
    pub(super) hash: Sha256,
    pub(super) read: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}
