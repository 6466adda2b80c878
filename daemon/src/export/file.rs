//! From the store into a file, so that nothing is taken out of the one before it is safe in the other.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, fadvise};
use snowgate_core::{ids::Id, time::Clock};

use super::{
    format::{FORMAT, Header, VERSION},
    read::{ReadError, Verified, verify},
    write::Writer,
};
use crate::{
    durable::{Partial, PartialError},
    signing::{PublicKey, SigningKey},
    store::{Gap, RowId, StoreError, WaitingSnapshot, announce_gaps_beside, remove_exported},
};

/// Bytes written or read at once.
const BUFFER: usize = 256 << 10;

/// What is to be exported, and to where.
pub struct Export<'a> {
    /// Whose messages they are.
    pub gateway: &'a Id,
    /// The store's directory.
    pub data: &'a Path,
    /// The file, which must not be there yet.
    pub to: &'a Path,
    /// What signs it.
    pub key: &'a SigningKey,
    /// What time it is.
    pub clock: &'a dyn Clock,
}

/// A file that is whole, on its disk, and has been read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What reading it back told.
    pub verified: Verified,
    last: Option<RowId>,
    data: PathBuf,
}

/// Why there is no file. Nothing has left the store.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another export of this name.
    #[error("{} is there already; an export never replaces another one", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was written cannot be read back.
    #[error("{} cannot be read back: {source}", path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
}

impl From<PartialError> for ExportError {
    fn from(error: PartialError) -> Self {
        match error {
            PartialError::Exists(path) => Self::Exists(path),
            PartialError::File { path, source } => Self::File { path, source },
        }
    }
}

impl Export<'_> {
    /// Writes the file; `gap` makes a message (topic, payload) of a loss that has not been announced yet.
    ///
    /// # Errors
    /// There is no file then, and nothing has left the store.
    pub fn write(&self, gap: impl Fn(&Gap) -> (String, Vec<u8>)) -> Result<Exported, ExportError> {
        let public = self.key.public().map_err(|error| failed(self.to)(error.into()))?;
        let partial = Partial::create(self.to)?;
        announce_gaps_beside(self.data, self.clock.now(), gap)?;
        let snapshot = WaitingSnapshot::take(self.data)?;
        self.write_to(partial.file(), &snapshot)?;
        let last = snapshot.last;
        drop(snapshot);
        let verified = read_back(&partial, &public)?;
        partial.keep()?;
        Ok(Exported { verified, last, data: self.data.to_owned() })
    }

    fn write_to(&self, file: &File, snapshot: &WaitingSnapshot) -> Result<(), ExportError> {
        let now = self.clock.now();
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            gateway: self.gateway.clone(),
            boot_id: snapshot.boot_id.clone(),
            created_at: now.wall,
            clock_synchronised: now.synchronised,
            signing_key: self.key.fingerprint().map_err(|error| failed(self.to)(error.into()))?,
            messages: snapshot.messages,
        };
        let failed = failed(self.to);
        let mut writer = Writer::begin(BufWriter::with_capacity(BUFFER, file), &header).map_err(&failed)?;
        snapshot.for_each(|message| writer.message(&message).map_err(&failed))?;
        let mut out = writer.seal(self.key).map_err(&failed)?;
        out.flush().map_err(&failed)?;
        drop(out);
        file.sync_all().map_err(&failed)
    }
}

impl Exported {
    /// Lets go of what has been exported; answers how many messages that were, those that had left meanwhile left out. The
    /// daemon may be running.
    ///
    /// # Errors
    /// Some or all of them still wait. The file is whole all the same.
    pub fn remove(&self) -> Result<u64, StoreError> {
        self.last.map_or(Ok(0), |last| remove_exported(&self.data, last))
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |source| ExportError::File { path: path.clone(), source }
}

/// Reads what has been written, from the disk where the system allows it.
fn read_back(partial: &Partial, key: &PublicKey) -> Result<Verified, ExportError> {
    // Advice only: a file system that does not take it reads from memory.
    let _ = fadvise(partial.file(), 0, None, Advice::DontNeed);
    let file = File::open(partial.path()).map_err(failed(partial.path()))?;
    let verified = verify(BufReader::with_capacity(BUFFER, file), key);
    verified.map_err(|source| ExportError::ReadBack { path: partial.path().to_owned(), source })
}
