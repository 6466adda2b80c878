//! What all manifests have in common, whatever their models look at: they are TOML files in a folder, they pin files, and
//! all that is wrong with one is reported at once, each mistake with its line and column.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use snowgate_core::{
    ids::Id,
    spec,
    spec::{Error, Located, Maybe, Section, Span, custom, read_table},
};

use super::execution::Variant;

/// The most bytes a manifest may have.
const MAX_BYTES: u64 = 256 << 10;

/// What manifests of one kind say.
pub trait Describes: Section {
    /// The model's name.
    fn id(&self) -> &Id;

    /// What the model is for.
    fn task(&self) -> &'static str;

    /// Licence of the weights (SPDX).
    fn licence(&self) -> &str;

    /// The model's files.
    fn pinned(&self) -> Files<'_>;

    /// Adds everything that is wrong with what they say, their files apart.
    fn check(&self, problems: &mut Problems);
}

spec! {
    /// An ONNX file and its digest.
    pub struct PinnedFile {
        /// The ONNX file, in the manifest's folder.
        file: Located<String>,
        /// SHA-256 of the ONNX file, hexadecimal.
        sha256: Located<String>,
    }
}

impl PinnedFile {
    /// Adds what is wrong with the name or the digest.
    fn check(&self, problems: &mut Problems) {
        let file = Path::new(self.file.value.as_str());
        if file.file_name().is_none_or(|name| name != file.as_os_str()) {
            problems.add(self.file.span, "the file lies beside its manifest: a name without a path is wanted");
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            problems.add(self.sha256.span, "a SHA-256 has 64 hexadecimal digits");
        }
    }
}

spec! {
    /// The int8 files of a model: inputs, outputs and what they mean are those of the float file.
    pub struct Int8Spec {
        /// Weights of the full range.
        flatten full: PinnedFile,
        /// Whether `precision = "auto"` takes it: say so when its answers have been compared with the float file's.
        recommended: bool = false,
        /// Weights so small that sums of two products fit into 16 bits, for x86 processors without VNNI.
        reduced: Maybe<PinnedFile> = Maybe::NONE,
    }
}

/// The files of one model.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The float file.
    pub float: &'a PinnedFile,
    /// The int8 ones.
    pub int8: Option<&'a Int8Spec>,
}

impl<'a> Files<'a> {
    /// The file of a variant, where the model has it.
    pub fn get(self, variant: Variant) -> Option<&'a PinnedFile> {
        match variant {
            Variant::Float => Some(self.float),
            Variant::Int8 => self.int8.map(|int8| &int8.full),
            Variant::Int8Reduced => self.int8.and_then(|int8| int8.reduced.as_ref()),
        }
    }

    /// Every file, the float one first.
    pub fn all(self) -> impl Iterator<Item = (Variant, &'a PinnedFile)> {
        [Variant::Float, Variant::Int8, Variant::Int8Reduced]
            .into_iter()
            .filter_map(move |variant| Some((variant, self.get(variant)?)))
    }

    /// Adds what is wrong with their names and digests.
    fn check(self, problems: &mut Problems) {
        let mut names: Vec<&str> = Vec::new();
        for (_, pinned) in self.all() {
            pinned.check(problems);
            if names.contains(&pinned.file.as_str()) {
                problems.add(pinned.file.span, format!("{:?} is named twice", *pinned.file));
            }
            names.push(&pinned.file);
        }
    }
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file, or the folder, cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}", render(path, problems))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// Two manifests have one id.
    #[error("{} and {} have the same id {id}", first.display(), second.display())]
    Duplicate {
        /// The id.
        id: Id,
        /// One manifest.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

impl ManifestError {
    /// The file or folder that is wrong.
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. } | Self::Invalid { path, .. } | Self::Duplicate { second: path, .. } => path,
        }
    }
}

/// One mistake in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    pub(super) fn new(text: &str, error: &Error) -> Self {
        let before = text.get(..error.span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.to_string(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

fn render(path: &Path, problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect::<Vec<_>>().join("\n")
}

/// Mistakes, each with its place.
#[derive(Default)]
pub struct Problems(Vec<Error>);

impl Problems {
    /// Adds one.
    pub(crate) fn add(&mut self, span: Span, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.0.extend(custom(message, span).errors);
    }
}

/// Reads and checks a manifest.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn parse<T: Describes>(text: &str) -> Result<T, Vec<Error>> {
    let mut value = toml_span::parse(text).map_err(|error| vec![error])?;
    let manifest: T = read_table(&mut value).map_err(|errors| errors.errors)?;
    let mut problems = Problems::default();
    manifest.pinned().check(&mut problems);
    manifest.check(&mut problems);
    if problems.0.is_empty() { Ok(manifest) } else { Err(problems.0) }
}

/// Reads and checks one manifest file.
///
/// # Errors
/// That it cannot be read, or everything that is wrong with it.
pub(crate) fn read<T: Describes>(path: &Path) -> Result<T, ManifestError> {
    let unreadable = |source| ManifestError::Unreadable { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(unreadable(io::Error::other(format!("{size} bytes are too many for a manifest"))));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).map_err(|errors| ManifestError::Invalid {
        path: path.to_owned(),
        problems: errors.iter().map(|error| Problem::new(&text, error)).collect(),
    })
}

/// Reads every manifest (`*.toml`) of a folder. One that is wrong takes no other down.
pub(crate) fn read_folder<T: Describes>(folder: &Path) -> (BTreeMap<Id, T>, Vec<ManifestError>) {
    let mut errors = Vec::new();
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(source) => {
            errors.push(ManifestError::Unreadable { path: folder.to_owned(), source });
            Vec::new()
        }
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut found: BTreeMap<Id, (PathBuf, T)> = BTreeMap::new();
    for path in paths {
        match read::<T>(&path) {
            Ok(manifest) => {
                let id = manifest.id().clone();
                if let Some((first, _)) = found.get(&id) {
                    errors.push(ManifestError::Duplicate { id, first: first.clone(), second: path });
                } else {
                    found.insert(id, (path, manifest));
                }
            }
            Err(error) => errors.push(error),
        }
    }
    (found.into_iter().map(|(id, (_, manifest))| (id, manifest)).collect(), errors)
}

/// The same, where there need not be such a folder.
pub(crate) fn read_folder_if_there<T: Describes>(folder: &Path) -> (BTreeMap<Id, T>, Vec<ManifestError>) {
    if folder.exists() { read_folder(folder) } else { Default::default() }
}
