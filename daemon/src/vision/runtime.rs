//! ONNX Runtime's shared library: checked before it is loaded, loaded once a process.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::environment::Environment;

/// Why ONNX Runtime is not there.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The library cannot be read.
    #[error("ONNX Runtime at {}: {source}", path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no shared library, or not all of one.
    #[error("ONNX Runtime at {} {what}", path.display())]
    NoLibrary {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is a library, but not one that can be used: another one, another machine's, too old.
    #[error("ONNX Runtime at {} cannot be used: {message}", path.display())]
    Unusable {
        /// Where.
        path: PathBuf,
        /// What the loader or the library said.
        message: String,
    },
    /// Another library is already in use; a process can have one only.
    #[error("ONNX Runtime is already loaded from {}, it cannot be loaded from {} too", loaded.display(), path.display())]
    AnotherLoaded {
        /// The one in use.
        loaded: PathBuf,
        /// The one asked for.
        path: PathBuf,
    },
}

/// ONNX Runtime's shared library, loaded.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(super) environment: Environment,
}

/// The one environment a process may have, and where its library came from.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

impl Runtime {
    /// Loads the library; loading the same one again gives the same runtime.
    ///
    /// # Errors
    /// When the file is missing, no shared library, not ONNX Runtime, or too old.
    pub fn load(path: &Path) -> Result<Self, RuntimeError> {
        let unreadable = |source| RuntimeError::Unreadable { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(unreadable)?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((from, environment)) = loaded.as_ref() {
            return if *from == path {
                Ok(Self { environment: environment.clone() })
            } else {
                Err(RuntimeError::AnotherLoaded { loaded: from.clone(), path })
            };
        }
        check_library(&path)?;
        let unusable = |message| RuntimeError::Unusable { path: path.clone(), message };
        let environment = ort::init_from(&path)
            .map_err(|error| unusable(error.to_string()))?
            .with_name("snowgate")
            .with_telemetry(false)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        // Warnings about graphs (unused initialisers) help nobody here; errors come back as errors, and are logged once.
        environment.set_log_level(ort::logging::LogLevel::Fatal);
        *loaded = Some((path, environment.clone()));
        Ok(Self { environment })
    }
}

/// Refuses what the dynamic loader might crash on: a file that is no ELF, or one that was cut off (the loader maps pages
/// beyond the end of the file and touching them is a bus error, not an error message).
fn check_library(path: &Path) -> Result<(), RuntimeError> {
    let unreadable = |source| RuntimeError::Unreadable { path: path.to_owned(), source };
    let broken = |what| RuntimeError::NoLibrary { path: path.to_owned(), what };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(broken("is no file"));
    }
    let mut header = [0u8; 64];
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"\x7fELF") {
        return Err(broken("is no shared library"));
    }
    // ELF-64, System V ABI: the section headers stand last, at e_shoff, e_shnum of e_shentsize bytes each.
    let is_64_bit_little_endian = header[4] == 2 && header[5] == 1;
    let field = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let mut offset = [0u8; 8];
    offset.copy_from_slice(&header[40..48]);
    let end = u64::from_le_bytes(offset).saturating_add(field(58) * field(60));
    if is_64_bit_little_endian && end > metadata.len() {
        return Err(broken("is cut off"));
    }
    Ok(())
}
