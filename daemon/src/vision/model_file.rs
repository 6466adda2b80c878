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
    manifest::{Manifest, PinnedFile},
    model::{Model, ModelError, Runtime},
};
use crate::events::vision::{ModelLoaded, ProviderRefused};

/// The most bytes a model file may have.
const MAX_MODEL_BYTES: u64 = 512 << 20;

/// A model's file, verified, with the provider it was found to run on.
#[derive(Debug, Clone)]
pub struct ModelFile {
    runtime: Runtime,
    manifest: Arc<Manifest>,
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

impl ModelFile {
    /// Reads and verifies the file that suits, opens it on the first provider that takes all of it, and asks it once.
    ///
    /// # Errors
    /// When the file is not there, not the one that is pinned, or cannot be opened on the processor either, or is not
    /// what the manifest says.
    pub fn open(
        runtime: &Runtime,
        manifest: &Manifest,
        folder: &Path,
        execution: &Execution,
    ) -> Result<(Self, Model), ModelError> {
        let started = Instant::now();
        let mut refused = Vec::new();
        let mut read: Option<Verified> = None;
        let mut bytes_for = |provider| {
            let variant = execution.variant(manifest.int8.as_ref(), provider);
            match &read {
                Some(bytes) if bytes.variant == variant => Ok(bytes.clone()),
                _ => Verified::read(manifest, variant, folder).inspect(|bytes| read = Some(bytes.clone())),
            }
        };
        let opened = |bytes: Verified, model: Model, refused| {
            emit_loaded(&model, started);
            let running = model.running().clone();
            let manifest = Arc::new(manifest.clone());
            (Self { runtime: runtime.clone(), manifest, bytes, running, refused }, model)
        };
        for provider in execution.preferred() {
            let bytes = bytes_for(provider)?;
            match bytes.open(runtime, manifest, provider) {
                Ok(model) => return Ok(opened(bytes, model, refused)),
                Err(error) => {
                    let reason = match error {
                        ModelError::Broken { message, .. } => message,
                        other => other.to_string(),
                    };
                    ProviderRefused { model: &manifest.id.value, provider: provider.as_str(), reason: &reason }.emit();
                    refused.push(Refused { provider, reason });
                }
            }
        }
        let bytes = bytes_for(Provider::Cpu)?;
        let model = bytes.open(runtime, manifest, Provider::Cpu)?;
        Ok(opened(bytes, model, refused))
    }

    /// Another session, for another thread.
    ///
    /// # Errors
    /// When it cannot be opened any more.
    pub fn model(&self) -> Result<Model, ModelError> {
        self.bytes.open(&self.runtime, &self.manifest, self.running.provider)
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
pub(super) fn load(
    runtime: &Runtime,
    manifest: &Manifest,
    folder: &Path,
    variant: Variant,
) -> Result<Model, ModelError> {
    let started = Instant::now();
    let model = Verified::read(manifest, variant, folder)?.open(runtime, manifest, Provider::Cpu)?;
    emit_loaded(&model, started);
    Ok(model)
}

/// A session on the processor, of a file of whatever model that is the one its manifest pins.
pub(crate) fn session(
    runtime: &Runtime,
    model: &Id,
    pinned: &PinnedFile,
    folder: &Path,
) -> Result<(Session, Running), ModelError> {
    let (precision, provider) = (Variant::Float, Provider::Cpu);
    let file = Verified::read_pinned(model, precision, pinned, folder)?;
    let session = file.session(runtime, model, provider)?;
    Ok((session, Running { precision, provider, sha256: file.sha256 }))
}

fn emit_loaded(model: &Model, started: Instant) {
    let Running { precision, provider, sha256 } = model.running();
    let (precision, provider) = (precision.as_str(), provider.as_str());
    ModelLoaded { model: model.id(), precision, provider, sha256, took: started.elapsed() }.emit();
}

impl Verified {
    /// Reads one of a model's files and compares its digest.
    fn read(manifest: &Manifest, variant: Variant, folder: &Path) -> Result<Self, ModelError> {
        let model = &manifest.id.value;
        let message = || format!("its manifest names no {variant} file");
        let lacks = || ModelError::Mismatch { model: model.clone(), message: message() };
        Self::read_pinned(model, variant, manifest.file(variant).ok_or_else(lacks)?, folder)
    }

    fn read_pinned(model: &Id, variant: Variant, pinned: &PinnedFile, folder: &Path) -> Result<Self, ModelError> {
        let PinnedFile { file, sha256 } = pinned;
        let path = folder.join(file.as_str());
        let unreadable = |source| ModelError::Unreadable { model: model.clone(), path: path.clone(), source };
        let size = std::fs::metadata(&path).map_err(unreadable)?.len();
        if size > MAX_MODEL_BYTES {
            return Err(unreadable(io::Error::other(format!("{size} bytes are too many for a model"))));
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let found = hex(Sha256::digest(&bytes));
        if found.eq_ignore_ascii_case(sha256) {
            Ok(Self { variant, path, sha256: found, bytes: bytes.into() })
        } else {
            Err(ModelError::WrongDigest { model: model.clone(), path, expected: sha256.to_ascii_lowercase(), found })
        }
    }

    fn open(&self, runtime: &Runtime, manifest: &Manifest, provider: Provider) -> Result<Model, ModelError> {
        let session = self.session(runtime, &manifest.id.value, provider)?;
        let running = Running { precision: self.variant, provider, sha256: self.sha256.clone() };
        Model::new(manifest, session, running)
    }

    fn session(&self, runtime: &Runtime, model: &Id, provider: Provider) -> Result<Session, ModelError> {
        execution::open(&runtime.environment, &self.bytes, provider).map_err(|message| ModelError::Broken {
            model: model.clone(),
            path: self.path.clone(),
            message,
        })
    }
}
