//! The machine that figures were measured on.

use std::{fs, path::PathBuf};

use serde::Serialize;
use snowgate_tests::repository;

use super::error::ScaleError;

/// The machine, and what counts of what is installed on it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model of its CPU.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Bytes of memory.
    pub memory: u64,
    /// Load averages over 1, 5 and 15 minutes when the harness started: above 0.2 somebody else was at work too.
    pub load: String,
    /// GStreamer's version.
    pub gstreamer: String,
    /// ONNX Runtime's library.
    pub onnxruntime: String,
    /// How this harness was built.
    pub build: &'static str,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kibibytes: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(0);
        let load = read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let library = onnxruntime().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory: kibibytes << 10,
            load,
            gstreamer: gstreamer::version_string().to_string(),
            onnxruntime: library.unwrap_or_else(|| "none".to_owned()),
            build: if cfg!(debug_assertions) { "debug: figures mean nothing" } else { "release" },
        }
    }

    /// The machine in a few lines.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("{}, {} cores, {} MiB, kernel {}", self.cpu, self.cores, self.memory >> 20, self.kernel),
            format!(
                "{}, {}, {} build; load average at start {}",
                self.gstreamer, self.onnxruntime, self.build, self.load
            ),
        ]
    }
}

/// ONNX Runtime's shared library as `make deps` puts it.
///
/// # Errors
/// It is not there.
pub fn onnxruntime() -> Result<PathBuf, ScaleError> {
    let folder = repository().join("assets/onnxruntime");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let library = entries.filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libonnxruntime.so"))
    });
    library.max().ok_or(ScaleError::Missing { what: "ONNX Runtime in assets/onnxruntime".into(), remedy: "make deps" })
}
