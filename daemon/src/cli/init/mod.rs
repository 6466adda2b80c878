//! `snowgate init`: a configuration that works, from a few answers. It asks at a terminal, or takes flags.
//!
//! Nothing that is there already is written over, and nothing is written before the first camera was seen.

mod answers;
mod ask;
mod grids;
mod words;

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use snowgate_core::{ids::Id, incidents::Locale};

use self::{
    answers::{Answers, FirstCamera, HostPort},
    ask::Terminal,
    grids::Named,
    words::Words,
};
use super::{
    camera::{
        fault::{Said, exit, remedy},
        file::{Reached, Rules, camera_file},
        probe::{measure, watch},
    },
    exit::Exit,
    load,
};
use crate::camera::spec::Transport;

/// The kinds of incidents that the package brings.
const CATEGORIES: &str = include_str!("../../../../configs/categories.toml");

/// How long the first camera is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Arguments of `snowgate init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The configuration directory; what is in it is not touched.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    #[command(flatten)]
    arguments: Arguments,
}

/// What has to be known. At a terminal, what is left out is asked for.
#[derive(Debug, Clone, Args)]
struct Arguments {
    /// Name of the box in topics and incidents.
    #[arg(long, value_name = "ID")]
    gateway: Option<Id>,
    /// A grid that the box reports for, with its name; once for each. Administrative codes (6 to 18 digits) bring what is above them.
    #[arg(long = "grid", value_name = "CODE=NAME")]
    grids: Vec<Named>,
    /// The MQTT broker.
    #[arg(long, value_name = "HOST[:PORT]")]
    broker: Option<HostPort>,
    /// User name at the broker.
    #[arg(long, value_name = "USER")]
    broker_username: Option<String>,
    /// File that holds its password.
    #[arg(long, value_name = "FILE", requires = "broker_username")]
    broker_password_file: Option<PathBuf>,
    /// Encrypt the connection to the broker; the system's authorities vouch for it.
    #[arg(long)]
    tls: bool,
    /// PEM file with the authority that vouches for the broker: encrypts the connection.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Language of incidents, zh-CN or en [default: zh-CN].
    #[arg(long, value_name = "LANGUAGE", value_parser = locale)]
    locale: Option<Locale>,
    /// Time zone of what people read, by its IANA name.
    #[arg(long, value_name = "ZONE", default_value = "Asia/Shanghai")]
    time_zone: String,
    /// rtsp:// or rtsps:// address of the first camera, without user and password. It is looked at for 10 s.
    #[arg(long, value_name = "URL")]
    camera: Option<String>,
    /// Name of that camera in topics and incidents.
    #[arg(long, value_name = "ID", default_value = "camera-1")]
    camera_id: Id,
    /// User name at the camera.
    #[arg(long, value_name = "USER", requires = "camera")]
    camera_username: Option<String>,
    /// File that holds its password.
    #[arg(long, value_name = "FILE", requires = "camera_username")]
    camera_password_file: Option<PathBuf>,
}

impl Arguments {
    fn locale(&self) -> Locale {
        self.locale.unwrap_or(Locale::ZhCn)
    }
}

fn locale(text: &str) -> Result<Locale, String> {
    [Locale::ZhCn, Locale::En]
        .into_iter()
        .find(|locale| locale.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("there is no language {text:?}: zh-CN or en"))
}

impl Init {
    /// Writes a configuration, and says what comes next.
    pub fn run(self) -> Exit {
        self.write().unwrap_or_else(|exit| exit)
    }

    fn write(self) -> Result<Exit, Exit> {
        let gateway_file = self.config.join("gateway.toml");
        is_free(&gateway_file)?;
        let answers = self.answers()?;
        let words = Words::of(answers.locale);
        let mut files = vec![(gateway_file, answers.gateway_file())];
        let categories = self.config.join("categories.toml");
        if categories.symlink_metadata().is_err() {
            files.push((categories, CATEGORIES.to_owned()));
        }
        if let Some(camera) = &answers.camera {
            let path = self.config.join("cameras.d").join(format!("{}.toml", camera.id));
            is_free(&path)?;
            files.push((path, look_at(camera, &answers, words)?));
        }
        for (path, text) in &files {
            create(path, text).map_err(|error| super::told(path, &error, Exit::Io))?;
            println!("{}: {}", words.written, path.display());
        }
        // What was there before may be wrong, or go badly with what is new.
        let config = load(&self.config)?;
        eprint!("{}", config.problems.render(io::stderr().is_terminal()));
        self.print_next(&answers, words);
        Ok(Exit::Ok)
    }

    /// What is known from the arguments, and from whoever sits at the terminal.
    fn answers(&self) -> Result<Answers, Exit> {
        if let Some(answers) = Answers::of(&self.arguments) {
            return Ok(answers);
        }
        if !io::stdin().is_terminal() {
            eprintln!("snowgate: --gateway, --grid and --broker must be given where nobody can be asked");
            return Err(Exit::Usage);
        }
        let host_name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let mut terminal = Terminal::new(io::stdin().lock(), io::stdout());
        match Answers::ask(self.arguments.clone(), Some(&host_name), &mut terminal) {
            Ok(Some(answers)) => Ok(answers),
            // Everything that must be known was asked for.
            Ok(None) => Err(Exit::Usage),
            Err(error) => {
                eprintln!("snowgate: {error}: nothing was written");
                Err(Exit::Interrupted)
            }
        }
    }

    fn print_next(&self, answers: &Answers, words: &Words) {
        let config = match self.config == Path::new("/etc/snowgate") {
            true => String::new(),
            false => format!(" --config {}", self.config.display()),
        };
        println!("\n{}", words.next);
        match &answers.camera {
            Some(FirstCamera { id, .. }) => println!(
                "  runuser -u snowgate -- snowgate camera still {id} --grid --to /tmp/{id}.jpg{config}    # {}",
                words.draw
            ),
            None => println!("  snowgate camera discover    # {}", words.find_camera),
        }
        println!("  runuser -u snowgate -- snowgate check{config}    # {}", words.check);
        println!("  systemctl start snowgate    # {}", words.start);
    }
}

/// The camera's file, as its stream was found to be.
fn look_at(camera: &FirstCamera, answers: &Answers, words: &Words) -> Result<String, Exit> {
    let Some(grid) = answers.grids.for_cameras() else {
        eprintln!("snowgate: a grid of the household level takes sensors, not cameras: name one above it, too");
        return Err(Exit::Usage);
    };
    let password = camera.login.password()?;
    println!("{} {}", words.looking, camera.url);
    let transport = Transport::Tcp;
    let observed = watch(&camera.id, &camera.url, &camera.login, password.as_ref(), transport, LOOK);
    let observed = observed.map_err(|fault| {
        eprintln!("snowgate: {}: not usable: {fault}; {}", camera.url, remedy(&fault, Said::Arguments));
        exit(&fault)
    })?;
    let (_, _, gate) = measure(&observed).map_err(|error| {
        eprintln!("snowgate: {}: {error}", camera.url);
        Exit::BadData
    })?;
    let password_file = camera.login.absolute_password_file();
    let reached = Reached {
        id: &camera.id,
        name: None,
        grid: Some(grid),
        detect: &camera.url,
        record: None,
        username: camera.login.username.as_deref(),
        password_file: password_file.as_deref(),
        transport,
    };
    Ok(camera_file(&reached, Some(&gate), Rules::InForce))
}

fn is_free(path: &Path) -> Result<(), Exit> {
    if path.symlink_metadata().is_ok() {
        eprintln!("snowgate: {} is there already: change it, or move it away", path.display());
        return Err(Exit::Usage);
    }
    Ok(())
}

/// Writes a file that is not there yet; everybody who may look into its directory may read it.
fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    // Whatever root's umask is: the service must be able to read it, and no secret stands in it.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
