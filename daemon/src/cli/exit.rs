//! Exit codes, as sysexits.h names them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As asked.
    Ok = 0,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// Data is wrong: a clip that is no video, a replay that differs (`EX_DATAERR`).
    BadData = 65,
    /// There is nothing at the path that is named (`EX_NOINPUT`).
    NoInput = 66,
    /// The name of a host is not known (`EX_NOHOST`).
    NoHost = 68,
    /// Something needed is not there: a library, a model, a port in use (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A fault of Snowgate's own (`EX_SOFTWARE`).
    Software = 70,
    /// Reading or writing failed (`EX_IOERR`).
    Io = 74,
    /// It was interrupted, and goes on when it is asked again (`EX_TEMPFAIL`).
    Interrupted = 75,
    /// What answers speaks another protocol (`EX_PROTOCOL`).
    Protocol = 76,
    /// The user name or password was refused (`EX_NOPERM`).
    NoPermission = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    BadConfig = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
