//! A model's file: read and verified once, tried on the execution providers in turn, and from then on what every thread
//! opens its own session from.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use ort::session::Session;
use sha2::{Digest, Sha256};
use snowgate_core::{hex::hex, ids::Id};

use super::{
    execution::{self, Execution, Provider, Running, Variant},
    manifest::Manifest,
    manifest_file::Describes,
    model::ModelError,
    runtime::Runtime,
};
use crate::events::vision::{ModelLoaded, ProviderRefused};

/// The most bytes a model file may have.
const MAX_MODEL_BYTES: u64 = 512 << 20;

/// A manifest that a model can be opened by, whatever the model looks at.
pub trait Opens: Describes + Clone {
    /// A session with everything it needs to answer.
    type Model;

    /// Wraps a session of its model, and asks it once.
    ///
    /// # Errors
    /// When the graph, or what it answers, is not what the manifest says.
    fn model(&self, session: Session, running: Running) -> Result<Self::Model, ModelError>;

    /// Which of its files a provider runs.
    fn variant(&self, execution: &Execution, provider: Provider) -> Variant {
        execution.variant(self.pinned().int8, provider)
    }
}

/// The file of a model that looks at regions.
pub type ModelFile = OpenedFile<Manifest>;

/// A model's file, verified, with the provider it was found to run on.
#[derive(Debug, Clone)]
pub struct OpenedFile<T> {
    runtime: Runtime,
    manifest: Arc<T>,
    bytes: Verified,
    running: Running,
    refused: Vec<Refused>,
}

/// Why a model does not run on a provider that is preferred to its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The preferred one.
    pub provider: Provider,
    /// What ONNX Runtime, or the model's first answer on it, said.
    pub reason: String,
}

/// The bytes of one of a model's files, with the digest they were found to have.
#[derive(Debug, Clone)]
struct Verified {
    variant: Variant,
    path: PathBuf,
    sha256: String,
    bytes: Arc<[u8]>,
}

impl<T: Opens> OpenedFile<T> {
    /// Reads and verifies the file that suits, opens it on the first provider that takes all of it, and asks it once.
    ///
    /// # Errors
    /// When the file is not there, not the one that is pinned, or cannot be opened on the processor either, or is not
    /// what the manifest says.
    pub fn open(
        runtime: &Runtime,
        manifest: &T,
        folder: &Path,
        execution: &Execution,
    ) -> Result<(Self, T::Model), ModelError> {
        let started = Instant::now();
        let mut refused = Vec::new();
        let mut read: Option<Verified> = None;
        let mut bytes_for = |provider| {
            let variant = manifest.variant(execution, provider);
            match &read {
                Some(bytes) if bytes.variant == variant => Ok(bytes.clone()),
                _ => Verified::read(manifest, variant, folder).inspect(|bytes| read = Some(bytes.clone())),
            }
        };
        let opened = |bytes: Verified, provider, model, refused| {
            let running = bytes.running(provider);
            emit_loaded(manifest.id(), &running, started);
            let manifest = Arc::new(manifest.clone());
            (Self { runtime: runtime.clone(), manifest, bytes, running, refused }, model)
        };
        for provider in execution.preferred() {
            let bytes = bytes_for(provider)?;
            match bytes.open(runtime, manifest, provider) {
                Ok(model) => return Ok(opened(bytes, provider, model, refused)),
                Err(error) => {
                    let reason = match error {
                        ModelError::Broken { message, .. } => message,
                        other => other.to_string(),
                    };
                    ProviderRefused { model: manifest.id(), provider: provider.as_str(), reason: &reason }.emit();
                    refused.push(Refused { provider, reason });
                }
            }
        }
        let bytes = bytes_for(Provider::Cpu)?;
        let model = bytes.open(runtime, manifest, Provider::Cpu)?;
        Ok(opened(bytes, Provider::Cpu, model, refused))
    }

    /// Another session, for another thread.
    ///
    /// # Errors
    /// When it cannot be opened any more.
    pub fn model(&self) -> Result<T::Model, ModelError> {
        self.bytes.open(&self.runtime, &*self.manifest, self.running.provider)
    }

    /// What it runs as and on.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The providers that are preferred but did not take it, each with the reason.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}

/// Opens one file of a model on the processor.
///
/// # Errors
/// When the file is not there, not the one that is pinned, cannot be opened, or is not what the manifest says.
pub fn load<T: Opens>(
    runtime: &Runtime,
    manifest: &T,
    folder: &Path,
    variant: Variant,
) -> Result<T::Model, ModelError> {
    let started = Instant::now();
    let file = Verified::read(manifest, variant, folder)?;
    let model = file.open(runtime, manifest, Provider::Cpu)?;
    emit_loaded(manifest.id(), &file.running(Provider::Cpu), started);
    Ok(model)
}

fn emit_loaded(model: &Id, Running { precision, provider, sha256 }: &Running, started: Instant) {
    let (precision, provider) = (precision.as_str(), provider.as_str());
    ModelLoaded { model, precision, provider, sha256, took: started.elapsed() }.emit();
}

impl Verified {
    /// Reads one of a model's files and compares its digest.
    fn read<T: Describes>(manifest: &T, variant: Variant, folder: &Path) -> Result<Self, ModelError> {
        let model = manifest.id();
        let message = || format!("its manifest names no {variant} file");
        let lacks = || ModelError::Mismatch { model: model.clone(), message: message() };
        let pinned = manifest.pinned().get(variant).ok_or_else(lacks)?;
        let path = folder.join(pinned.file.as_str());
        let unreadable = |source| ModelError::Unreadable { model: model.clone(), path: path.clone(), source };
        let size = std::fs::metadata(&path).map_err(unreadable)?.len();
        if size > MAX_MODEL_BYTES {
            return Err(unreadable(io::Error::other(format!("{size} bytes are too many for a model"))));
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let found = hex(Sha256::digest(&bytes));
        if found.eq_ignore_ascii_case(&pinned.sha256) {
            Ok(Self { variant, path, sha256: found, bytes: bytes.into() })
        } else {
            Err(ModelError::WrongDigest {
                model: model.clone(),
                path,
                expected: pinned.sha256.to_ascii_lowercase(),
                found,
            })
        }
    }

    fn open<T: Opens>(&self, runtime: &Runtime, manifest: &T, provider: Provider) -> Result<T::Model, ModelError> {
        let broken = |message| ModelError::Broken { model: manifest.id().clone(), path: self.path.clone(), message };
        let session = execution::open(&runtime.environment, &self.bytes, provider).map_err(broken)?;
        manifest.model(session, self.running(provider))
    }

    fn running(&self, provider: Provider) -> Running {
        Running { precision: self.variant, provider, sha256: self.sha256.clone() }
    }
}
