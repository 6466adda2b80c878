//! Why a measurement could not be made.

use std::{io, path::PathBuf, time::Duration};

use snowgate_tests::daemon::DaemonError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s{}", within.as_secs(), .detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Deadline {
        /// What was awaited.
        what: String,
        /// For how long.
        within: Duration,
        /// What is known of it.
        detail: Option<String>,
    },
    /// A signal asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// Something is not there.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What.
        what: String,
        /// What makes it.
        remedy: &'static str,
    },
    /// A file cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A child process went wrong.
    #[error("{program}: {what}")]
    Child {
        /// Which one.
        program: String,
        /// What it did, and its last words.
        what: String,
    },
    /// The daemon went wrong.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A clip, a decoder, a stream or a model went wrong.
    #[error("{0}")]
    Media(String),
    /// Readings cannot be sent.
    #[error("sending readings: {0}")]
    Readings(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl ScaleError {
    /// A system error with what was tried.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// A file's error.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// Turns the errors of media libraries into ours.
pub fn media(error: impl std::fmt::Display) -> ScaleError {
    ScaleError::Media(error.to_string())
}
