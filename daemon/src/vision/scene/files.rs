//! What cameras have learnt of their scenes, on disk: `{data}/scene/{camera}.{part}`.
//!
//! | file | holds | written by |
//! |---|---|---|
//! | `{camera}.learning` | how far learning has come, and a digest of what the pictures are taken from | `snowgate learn` |
//! | `{camera}.learnt` | what was learnt | `snowgate learn` |
//! | `{camera}.adapted` | the same, adapted to slow change since | the daemon |
//! | `{camera}.health.json` | what the camera normally shows, for its health | the daemon |
//! | `{camera}.lock` | nothing: locked by the one `snowgate learn` that is at work | `snowgate learn` |
//! | `{camera}.forget` | nothing: what the camera normally shows is to be learnt anew | `snowgate learn --forget`; the daemon deletes it |
//!
//! - **Whole or not there.** A file is replaced by one rename after it has been synced; a power cut leaves the old or the new.
//! - **Nothing damaged is used.** The first line of each binary file says what it is and the SHA-256 of the rest (a safetensors file), which is
//!   checked too. What is damaged gets the name `….damaged`, one of each, and is told of; the daemon goes on without it.
//! - **Nothing adapted outlives what it comes from.** It names the digest of what was learnt, and is dropped where that is another one.
//! - **Bounded.** Nothing larger than a limit is written or read.
//! - One writer a file. Nobody else reads them: the directory is 0700, files are 0600.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sha2::Digest as _;
use snowgate_core::{
    hex::hex,
    ids::Id,
    scene::{
        self,
        anomaly::{Memory, Origin, Shape, Unusable, store},
    },
};

use crate::{
    durable::{replace_file, sync_directory},
    events::scene_files::{AdaptedDropped, SceneFileFailed, SceneFileSetAside},
};

/// The most bytes of what a camera has learnt.
const MOST_BYTES: u64 = store::MOST_BYTES as u64;
/// The most bytes of what it normally shows.
const MOST_HEALTH_BYTES: u64 = 8 << 20;
/// What the first line begins with: a name and a version.
const MAGIC: &str = "snowgate-scene 1";
/// The longest first line.
const MOST_HEADER: usize = 256;
/// What is added to the name of a damaged file.
const DAMAGED: &str = ".damaged";

/// The SHA-256 of what a file holds, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(hex(sha2::Sha256::digest(bytes)))
    }

    /// Of a text that says where something comes from.
    pub fn of_text(text: &str) -> Self {
        Self::of(text.as_bytes())
    }

    /// 64 digits, in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stood in a file.
#[derive(Debug)]
pub struct Stored {
    /// What was learnt.
    pub memory: Memory,
    /// Its digest: what is adapted from it names this.
    pub digest: Digest,
}

/// What tells a file of what was learnt from another one that takes its place, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    modified: (i64, i64),
}

/// Why a file cannot be read or written. The journal and a counter have it already.
#[derive(Debug, thiserror::Error)]
pub enum SceneFileError {
    /// The file system refuses.
    #[error("{}: cannot {action} it: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is damaged, and was set aside.
    #[error("{} is damaged, it is now {DAMAGED}: {reason}", path.display())]
    Damaged {
        /// Where it was.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is sound, but was learnt by another version, camera or model, of another view or shape. It stays.
    #[error("{} cannot be used: {source}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What differs.
        source: Unusable,
    },
    /// It tells of learning from other pictures than those that are learnt from now.
    #[error(
        "{} was begun with other pictures: go on with those, or begin anew with --restart", path.display()
    )]
    Begun {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody else is learning the scene.
    #[error("{}: another `snowgate learn` is at work on this camera", path.display())]
    Busy {
        /// The file that is locked.
        path: PathBuf,
    },
    /// It would be larger than any that is read.
    #[error("{}: {bytes} bytes are too many, at most {most} are kept", path.display())]
    TooLarge {
        /// Where it would be.
        path: PathBuf,
        /// How large.
        bytes: u64,
        /// How large it may be.
        most: u64,
    },
}

/// The binary files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Learning,
    Learnt,
    Adapted,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Learning => "learning",
            Self::Learnt => "learnt",
            Self::Adapted => "adapted",
        }
    }
}

/// What a memory must have been learnt by; another one is refused.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The camera, the model and the view.
    pub origin: &'a Origin,
    /// The form of the model's feature maps.
    pub shape: &'a Shape,
}

/// The files of all cameras.
#[derive(Debug, Clone)]
pub struct SceneFiles {
    directory: PathBuf,
}

impl SceneFiles {
    /// Those in the data directory. Nothing is made before something is written.
    pub fn beneath(data: &Path) -> Self {
        Self { directory: data.join("scene") }
    }

    /// What was learnt of a camera's scene; `None` if nothing was.
    ///
    /// # Errors
    /// It cannot be read, is damaged and was set aside, or was learnt by anything else than `expected`.
    pub fn learnt(&self, camera: &Id, expected: Expected<'_>) -> Result<Option<Stored>, SceneFileError> {
        self.told(camera, self.read(camera, Part::Learnt, None, expected))
    }

    /// Keeps what was learnt, and drops what learning it had left half done. For `snowgate learn` only.
    ///
    /// # Errors
    /// It is too large, or the file system refuses.
    pub fn keep_learnt(&self, camera: &Id, memory: &Memory, now: Timestamp) -> Result<Digest, SceneFileError> {
        let kept = self.write(camera, Part::Learnt, None, memory, now);
        self.told(camera, kept.and_then(|digest| self.remove(&self.path(camera, Part::Learning)).map(|()| digest)))
    }

    /// How far learning from those pictures had come when it was interrupted; `None` if it was not.
    ///
    /// # Errors
    /// As [`Self::learnt`]; it was begun with other pictures.
    pub fn learning(
        &self,
        camera: &Id,
        pictures: &Digest,
        expected: Expected<'_>,
    ) -> Result<Option<Stored>, SceneFileError> {
        self.told(camera, self.read(camera, Part::Learning, Some(pictures), expected))
    }

    /// Keeps how far learning from those pictures has come. For `snowgate learn` only.
    ///
    /// # Errors
    /// It is too large, or the file system refuses.
    pub fn keep_learning(
        &self,
        camera: &Id,
        pictures: &Digest,
        memory: &Memory,
        now: Timestamp,
    ) -> Result<(), SceneFileError> {
        self.told(camera, self.write(camera, Part::Learning, Some(pictures), memory, now).map(drop))
    }

    /// Deletes what learning had left half done. For `snowgate learn` only.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn drop_learning(&self, camera: &Id) -> Result<(), SceneFileError> {
        self.told(camera, self.remove(&self.path(camera, Part::Learning)))
    }

    /// Keeps a second `snowgate learn` off a camera for as long as the answer lives.
    ///
    /// # Errors
    /// There is one at work already, or the file system refuses.
    pub fn lock(&self, camera: &Id) -> Result<File, SceneFileError> {
        let path = self.directory.join(format!("{camera}.lock"));
        let locked = self.make_directory().and_then(|()| {
            let file = File::create(&path).map_err(failed("lock", &path))?;
            self.own(&path).map_err(failed("lock", &path))?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => Err(SceneFileError::Busy { path: path.clone() }),
                Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
            }
        });
        self.told(camera, locked)
    }

    /// What was adapted since `learnt` was learnt, or what the daemon has learnt by itself where that is nothing; `None` if
    /// there is none. What was adapted from anything else is deleted.
    ///
    /// # Errors
    /// As [`Self::learnt`].
    pub fn adapted(
        &self,
        camera: &Id,
        learnt: Option<&Digest>,
        expected: Expected<'_>,
    ) -> Result<Option<Stored>, SceneFileError> {
        self.told(camera, self.read(camera, Part::Adapted, learnt, expected))
    }

    /// Keeps what was adapted since `learnt` was learnt. For the daemon only.
    ///
    /// # Errors
    /// It is too large, or the file system refuses.
    pub fn keep_adapted(
        &self,
        camera: &Id,
        learnt: Option<&Digest>,
        memory: &Memory,
        now: Timestamp,
    ) -> Result<(), SceneFileError> {
        self.told(camera, self.write(camera, Part::Adapted, learnt, memory, now).map(drop))
    }

    /// What tells the file of what was learnt of a camera's scene from another one; `None` if there is none.
    pub fn stamp(&self, camera: &Id) -> Option<Stamp> {
        let metadata = fs::symlink_metadata(self.path(camera, Part::Learnt)).ok()?;
        Some(Stamp { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }

    /// Deletes everything that was learnt of a camera's scene, and asks the daemon to learn anew what it normally shows.
    /// For `snowgate learn` only.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn forget(&self, camera: &Id) -> Result<(), SceneFileError> {
        let parts = [Part::Learning, Part::Learnt, Part::Adapted];
        let gone = parts.into_iter().try_for_each(|part| self.remove(&self.path(camera, part)));
        self.told(camera, gone.and_then(|()| self.replace(&self.forget_path(camera), &[], 0)))
    }

    /// Whether what a camera normally shows is to be learnt anew. Answers so once: what was kept of it is deleted. For the
    /// daemon only.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn is_to_forget(&self, camera: &Id) -> Result<bool, SceneFileError> {
        let path = self.forget_path(camera);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(false);
        }
        // The request goes last: interrupted before that, it is met once more.
        let of_daemon = [self.health_path(camera), self.path(camera, Part::Adapted), path];
        self.told(camera, of_daemon.iter().try_for_each(|path| self.remove(path)).map(|()| true))
    }

    /// What a camera normally shows; `None` if nothing is known yet.
    ///
    /// # Errors
    /// As [`Self::learnt`].
    pub fn health(&self, camera: &Id) -> Result<Option<scene::Learnt>, SceneFileError> {
        let path = self.health_path(camera);
        let read = || {
            let Some(bytes) =
                read_bounded(&path, MOST_HEALTH_BYTES).or_else(|fault| set_aside(camera, &path, fault))?
            else {
                return Ok(None);
            };
            let learnt = serde_json::from_slice(&bytes).map(Some);
            learnt.or_else(|error| set_aside(camera, &path, Fault::Damaged(error.to_string())))
        };
        self.told(camera, read())
    }

    /// Keeps what a camera normally shows. For the daemon only.
    ///
    /// # Errors
    /// It is too large, or the file system refuses.
    pub fn keep_health(&self, camera: &Id, learnt: &scene::Learnt) -> Result<(), SceneFileError> {
        let path = self.health_path(camera);
        let written = serde_json::to_vec(learnt)
            .map_err(|error| failed("write", &path)(error.into()))
            .and_then(|bytes| self.replace(&path, &[&bytes], MOST_HEALTH_BYTES));
        self.told(camera, written)
    }

    fn path(&self, camera: &Id, part: Part) -> PathBuf {
        self.directory.join(format!("{camera}.{}", part.as_str()))
    }

    fn health_path(&self, camera: &Id) -> PathBuf {
        self.directory.join(format!("{camera}.health.json"))
    }

    fn forget_path(&self, camera: &Id) -> PathBuf {
        self.directory.join(format!("{camera}.forget"))
    }

    /// Tells of what failed; what is damaged has been told of when it was set aside.
    fn told<T>(&self, camera: &Id, result: Result<T, SceneFileError>) -> Result<T, SceneFileError> {
        result.inspect_err(|error| match error {
            SceneFileError::Damaged { .. } => {}
            error => SceneFileFailed { camera, error }.emit(),
        })
    }

    fn read(
        &self,
        camera: &Id,
        part: Part,
        from: Option<&Digest>,
        expected: Expected<'_>,
    ) -> Result<Option<Stored>, SceneFileError> {
        let path = self.path(camera, part);
        let most = MOST_BYTES + MOST_HEADER as u64;
        let Some(bytes) = read_bounded(&path, most).or_else(|fault| set_aside(camera, &path, fault))? else {
            return Ok(None);
        };
        let (header, contents) = match split(&bytes, part) {
            Ok(parts) => parts,
            Err(reason) => return set_aside(camera, &path, Fault::Damaged(reason)),
        };
        if from.map(Digest::as_str) != header.from {
            if part == Part::Learning {
                return Err(SceneFileError::Begun { path });
            }
            AdaptedDropped { camera, path: &path }.emit();
            return self.remove(&path).map(|()| None);
        }
        match Memory::from_bytes(contents, expected.origin, expected.shape) {
            Ok(memory) => Ok(Some(Stored { memory, digest: Digest(header.sha256.to_owned()) })),
            Err(source @ (Unusable::Other { .. } | Unusable::Version(_))) => {
                Err(SceneFileError::Unusable { path, source })
            }
            Err(error) => set_aside(camera, &path, Fault::Damaged(error.to_string())),
        }
    }

    fn write(
        &self,
        camera: &Id,
        part: Part,
        from: Option<&Digest>,
        memory: &Memory,
        now: Timestamp,
    ) -> Result<Digest, SceneFileError> {
        let path = self.path(camera, part);
        let bytes = memory.to_bytes(now).map_err(|source| SceneFileError::Unusable { path: path.clone(), source })?;
        let digest = Digest::of(&bytes);
        let (part, from) = (part.as_str(), from.map_or(NONE, Digest::as_str));
        let header = format!("{MAGIC} {part} {} {from}\n", digest.as_str());
        self.replace(&path, &[header.as_bytes(), &bytes], MOST_BYTES + header.len() as u64)?;
        Ok(digest)
    }

    fn replace(&self, path: &Path, pieces: &[&[u8]], most: u64) -> Result<(), SceneFileError> {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        if bytes > most {
            return Err(SceneFileError::TooLarge { path: path.to_owned(), bytes, most });
        }
        self.make_directory()?;
        replace_file(path, pieces).and_then(|()| self.own(path)).map_err(failed("write", path))
    }

    /// What the super-user writes belongs to whoever the data directory belongs to: it is the daemon that reads it.
    fn own(&self, path: &Path) -> io::Result<()> {
        let Some(data) = self.directory.parent().filter(|_| rustix::process::geteuid().is_root()) else {
            return Ok(());
        };
        let owner = fs::metadata(data)?;
        chown(path, Some(owner.uid()), Some(owner.gid()))
    }

    fn make_directory(&self) -> Result<(), SceneFileError> {
        if self.directory.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .and_then(|()| self.own(&self.directory))
            .and_then(|()| self.directory.parent().map_or(Ok(()), sync_directory))
            .map_err(failed("make", &self.directory))
    }

    fn remove(&self, path: &Path) -> Result<(), SceneFileError> {
        match fs::remove_file(path).and_then(|()| sync_directory(&self.directory)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete", path)(error)),
            _ => Ok(()),
        }
    }
}

/// Stands where a file comes from no other.
const NONE: &str = "-";

/// The first line of a file.
struct Header<'a> {
    sha256: &'a str,
    from: Option<&'a str>,
}

/// The first line and the rest, if that is what the line says.
fn split(bytes: &[u8], part: Part) -> Result<(Header<'_>, &[u8]), String> {
    let end = bytes.iter().take(MOST_HEADER).position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| "its first line is no text")?;
    let rest = line.strip_prefix(MAGIC).ok_or_else(|| format!("its first line does not begin with {MAGIC:?}"))?;
    let words: Vec<&str> = rest.split(' ').collect();
    let &["", name, sha256, from] = words.as_slice() else {
        return Err("its first line has other words than it should have".to_owned());
    };
    if name != part.as_str() {
        return Err(format!("it says that it is {name:?}"));
    }
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let from = match part {
        Part::Adapted | Part::Learning if is_digest(from) => Some(from),
        Part::Learnt | Part::Adapted if from == NONE => None,
        _ => return Err("its first line says otherwise where it comes from".to_owned()),
    };
    let contents = &bytes[end + 1..];
    if Digest::of(contents).as_str() != sha256 {
        return Err("its SHA-256 is another one than its first line says".to_owned());
    }
    Ok((Header { sha256, from }, contents))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SceneFileError {
    let path = path.to_owned();
    move |source| SceneFileError::Io { action, path, source }
}

/// Why a file was not read.
enum Fault {
    Io(io::Error),
    Damaged(String),
}

/// All of a file that is no larger than it may be; `None` if it is not there. Never waits, as opening a pipe would.
fn read_bounded(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Fault> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::Io(error)),
    };
    if !metadata.is_file() {
        return Err(Fault::Damaged("it is no file".to_owned()));
    }
    let too_large = || Fault::Damaged(format!("it is larger than {most} bytes"));
    if metadata.len() > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(Fault::Io)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(Some(bytes)) }
}

/// Gives a damaged file another name, in place of an earlier one, and says so.
fn set_aside<T>(camera: &Id, path: &Path, fault: Fault) -> Result<T, SceneFileError> {
    let reason = match fault {
        Fault::Io(source) => return Err(failed("read", path)(source)),
        Fault::Damaged(reason) => reason,
    };
    let mut to = path.as_os_str().to_owned();
    to.push(DAMAGED);
    let to = PathBuf::from(to);
    fs::rename(path, &to).map_err(failed("rename", path))?;
    // The new name may be lost in a power cut: then the file is found damaged once more.
    let _ = path.parent().map(sync_directory);
    SceneFileSetAside { camera, path: &to, reason: &reason }.emit();
    Err(SceneFileError::Damaged { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests;
