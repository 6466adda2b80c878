//! Reading a secret from the file, or the systemd credential, that a setting names.

use std::{
    ffi::OsString,
    io,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use snowgate_core::secret::Secret;

/// The largest secret taken, in bytes: an RSA key of 4096 bits in PEM has 3.3 KB.
pub const MAX_BYTES: usize = 4096;

/// Prefix of a reference to a systemd credential.
const CREDENTIAL: &str = "credential:";

/// A secret that was read, and what should be said about its file.
#[derive(Debug)]
pub struct SecretFile {
    /// The secret.
    pub secret: Secret,
    /// The file it was read from.
    pub path: PathBuf,
    /// Whether the file's group or everybody may read it.
    pub widely_readable: bool,
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret {} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A pipe, a device or a directory.
    #[error("the secret {} is not a regular file", .0.display())]
    NoFile(PathBuf),
    /// Larger than any secret is.
    #[error("the secret {} is larger than {MAX_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Nothing in it.
    #[error("the secret {} is empty", .0.display())]
    Empty(PathBuf),
    /// Bytes that are no text.
    #[error("the secret {} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// A credential is named, but there are none.
    #[error("the credential `{0}` is not there: this process was given no systemd credentials")]
    NoCredentials(String),
    /// A credential's name with a folder in it.
    #[error("`{0}` is no credential name: it is a plain file name")]
    CredentialName(String),
}

/// Reads the secret that `reference` names: a file, relative to `base`, or `credential:NAME` for a systemd
/// credential of this service. One newline at the end is dropped.
///
/// # Errors
/// Why it cannot be had, naming the file.
pub fn read(reference: &str, base: &Path) -> Result<SecretFile, SecretError> {
    read_with(reference, base, std::env::var_os("CREDENTIALS_DIRECTORY"))
}

fn read_with(reference: &str, base: &Path, credentials: Option<OsString>) -> Result<SecretFile, SecretError> {
    let path = match reference.strip_prefix(CREDENTIAL) {
        None => base.join(reference),
        Some(name) if name.is_empty() || name.starts_with('.') || name.contains('/') => {
            return Err(SecretError::CredentialName(name.to_owned()));
        }
        Some(name) => match credentials {
            Some(directory) => PathBuf::from(directory).join(name),
            None => return Err(SecretError::NoCredentials(name.to_owned())),
        },
    };
    let unreadable = |error| SecretError::Unreadable { path: path.clone(), error };
    // Asked before opening: opening a pipe nobody writes to would wait for ever.
    let metadata = std::fs::metadata(&path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretError::NoFile(path));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&path).map_err(unreadable)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES {
        return Err(SecretError::TooLarge(path));
    }
    let Ok(mut text) = String::from_utf8(bytes) else { return Err(SecretError::NotText(path)) };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(SecretError::Empty(path));
    }
    // systemd guards a credential's directory itself and lets the file's mode look wider than it is.
    let widely_readable = !reference.starts_with(CREDENTIAL) && metadata.permissions().mode() & 0o044 != 0;
    Ok(SecretFile { secret: Secret::from(text), path, widely_readable })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_read_relative_to_the_base_and_lose_one_newline() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("password"), "two\n\n").unwrap();
        fs::set_permissions(base.path().join("password"), fs::Permissions::from_mode(0o600)).unwrap();
        let read = read_with("password", base.path(), None).unwrap();
        assert_eq!(read.secret.expose(), "two\n");
        assert!(!read.widely_readable);
        fs::set_permissions(base.path().join("password"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read_with("password", base.path(), None).unwrap().widely_readable);
    }

    #[test]
    fn credentials_are_read_from_their_directory_only() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("camera"), "secret").unwrap();
        let credentials = || Some(base.path().as_os_str().to_owned());
        let secret = read_with("credential:camera", Path::new("/nowhere"), credentials()).unwrap().secret;
        assert_eq!(secret.expose(), "secret");
        assert!(matches!(
            read_with("credential:../x", base.path(), credentials()),
            Err(SecretError::CredentialName(name)) if name == "../x"
        ));
        assert!(matches!(read_with("credential:camera", base.path(), None), Err(SecretError::NoCredentials(_))));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_named() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("large"), vec![b'x'; MAX_BYTES + 1]).unwrap();
        fs::write(base.path().join("empty"), "\n").unwrap();
        fs::write(base.path().join("binary"), [0xff, 0xfe]).unwrap();
        fs::create_dir(base.path().join("folder")).unwrap();
        for (name, part) in [
            ("large", "larger than"),
            ("empty", "is empty"),
            ("binary", "not UTF-8"),
            ("folder", "not a regular file"),
            ("missing", "No such file"),
        ] {
            let message = read_with(name, base.path(), None).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains(name), "{message}");
        }
    }
}
