//! The user that a camera asks for, as these commands take it.

use std::path::{Path, PathBuf, absolute};

use clap::Args;
use snowgate_core::secret::Secret;

use super::super::exit::Exit;
use crate::config::secret_file;

/// Arguments that say who we are.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Login {
    /// User name, where the camera asks for one.
    #[arg(long, value_name = "USER")]
    pub username: Option<String>,
    /// File that holds the password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

impl Login {
    /// A user, and the file with its password.
    pub fn new(username: Option<String>, password_file: Option<PathBuf>) -> Self {
        Self { username, password_file }
    }

    /// The password, if a file is named; what is wrong with it is printed.
    pub fn password(&self) -> Result<Option<Secret>, Exit> {
        let Some(file) = &self.password_file else { return Ok(None) };
        match secret_file::read(&file.to_string_lossy(), Path::new(".")) {
            Ok(read) => Ok(Some(read.secret)),
            Err(error) => {
                eprintln!("snowgate: {error}");
                Err(Exit::NoInput)
            }
        }
    }

    /// The password's file as a camera file names it.
    pub fn absolute_password_file(&self) -> Option<String> {
        let file = self.password_file.as_deref()?;
        Some(absolute(file).unwrap_or(file.to_owned()).to_string_lossy().into_owned())
    }
}
