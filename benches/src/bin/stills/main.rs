//! `stills`: pictures in, redacted stills out, made as the daemon makes them: the same models, limits and defaults, by the one
//! [`StillMaker`] there is. `benches/blur` looks for what can still be found in them.
//!
//! Pictures come as YUV4MPEG2 files ([`y4m`]); of each the still is written as a JPEG, and a line of JSON says what it is and took.

mod y4m;

use std::{
    error::Error,
    fs::{self, File},
    io::{BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use snowgate::{
    evidence::{
        detectors::StillModels,
        provenance::Provenance,
        spec::EvidenceSpec,
        still::{Still, StillMaker, StillRequest},
    },
    shutdown::Shutdown,
    vision::{manifest::Manifest, model::Runtime},
};
use snowgate_core::{
    ids::IncidentId,
    priority::Priority,
    time::{Moment, Mono},
};

use self::y4m::{Frame, Reader};

/// Makes the stills of pictures as the daemon makes them.
#[derive(Debug, Parser)]
struct Arguments {
    /// YUV4MPEG2 files, 4:2:0, 8 bits, video range, BT.601.
    #[arg(required = true, value_name = "FILE")]
    pictures: Vec<PathBuf>,
    /// Where the stills go: FILE-N.jpg of the N-th picture.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Folder of manifests and ONNX files.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../models"))]
    models: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/onnxruntime/libonnxruntime.so.1.31.1"))]
    onnxruntime: PathBuf,
}

/// One still.
#[derive(Debug, Serialize)]
struct Made<'a> {
    /// Its file in the folder.
    still: &'a str,
    /// Milliseconds of processor time it took.
    milliseconds: f64,
    /// Bytes of the JPEG.
    bytes: usize,
    /// Faces found.
    faces: u32,
    /// People's heads found.
    heads: u32,
    /// Share of the picture that is covered, 0 to 1.
    covered: f64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stills: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut maker = open(arguments)?;
    fs::create_dir_all(&arguments.to)?;
    let mut out = std::io::stdout().lock();
    for path in &arguments.pictures {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a file without a name")?;
        for (index, frame) in Reader::open(BufReader::new(File::open(path)?))?.enumerate() {
            let frame = frame.map_err(|error| format!("{}: {error}", path.display()))?;
            let (width, height) = frame.size();
            let (still, milliseconds) = make(&mut maker, frame)?;
            let name = format!("{stem}-{index}.jpg");
            fs::write(arguments.to.join(&name), &still.jpeg)?;
            let made = Made {
                still: &name,
                milliseconds,
                bytes: still.jpeg.len(),
                faces: still.faces_covered,
                heads: still.heads_covered,
                covered: f64::from(still.covered_pixels) / (width * height) as f64,
            };
            writeln!(out, "{}", serde_json::to_string(&made)?)?;
        }
    }
    Ok(())
}

/// What makes stills in a daemon whose configuration says nothing of evidence.
fn open(arguments: &Arguments) -> Result<StillMaker, Box<dyn Error>> {
    let manifest = |id: &str| Manifest::read(&arguments.models.join(id));
    let (face, object) = (manifest("centerface.toml")?, manifest("ssdlite-mobilenet-v2.toml")?);
    let runtime = Runtime::load(&arguments.onnxruntime)?;
    let models = StillModels { runtime: &runtime, face: &face, object: &object, folder: Path::new(&arguments.models) };
    let mut empty = toml_span::parse("")?;
    let defaults: EvidenceSpec = toml_span::Deserialize::deserialize(&mut empty)?;
    Ok(models.open(&defaults, Shutdown::new()).map_err(|error| error.to_string())?)
}

/// The still, and the milliseconds of this thread's processor time it took: sessions run on the thread that asks.
fn make(maker: &mut StillMaker, frame: Frame) -> Result<(Still, f64), Box<dyn Error>> {
    let of = Provenance {
        incident: IncidentId(Default::default()),
        rule: "bench".parse()?,
        category: "bench".parse()?,
        config_digest: String::new(),
        models: Vec::new(),
    };
    let request = StillRequest {
        of: Arc::new(of),
        verification: None,
        priority: Priority::Normal,
        camera: "bench".parse()?,
        picture: frame,
        taken: Moment { mono: Mono(0), wall: jiff::Timestamp::UNIX_EPOCH, synchronised: true },
        // Nobody is known: what is covered was found in the picture alone.
        subjects: Vec::new(),
        people: Vec::new(),
        outline: None,
        masks: Arc::new([]),
        retake: None,
    };
    let before = processor_seconds();
    let still = maker.make(&request)?;
    Ok((still, (processor_seconds() - before) * 1000.0))
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
