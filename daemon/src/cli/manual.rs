//! `snowgate manual`: the man pages and the shells' completions, made from the command line itself.
//!
//! For whoever packages Snowgate; help does not show it. A subcommand, and no program of its own: what a package brings is
//! made by the very program in it, and nothing else has to be linked.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, exit::Exit, told};

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Arguments of `snowgate manual`.
#[derive(Debug, Args)]
pub struct Manual {
    /// Where to write them; made if it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Manual {
    /// Writes `snowgate.1`, a page for each subcommand, and `snowgate.bash`, `_snowgate`, `snowgate.fish`.
    pub fn run(self) -> Exit {
        write(&self.to).map_or_else(|error| told(&self.to, &error, Exit::Io), |()| Exit::Ok)
    }
}

fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let shown = shown();
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut shown.clone(), "snowgate", directory)?;
    }
    clap_mangen::generate_to(shown, directory)
}

/// The command line without what help does not show: shells would complete it all the same.
fn shown() -> Command {
    let all = Arguments::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("snowgate")
        .about(all.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_that_help_shows_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let shown: Vec<_> = Arguments::command()
            .get_subcommands()
            .filter(|command| command.get_name() != "manual")
            .map(|command| folder.path().join(format!("snowgate-{}.1", command.get_name())))
            .collect();
        assert!(!shown.is_empty() && shown.iter().all(|page| page.is_file()), "{shown:?}");
        assert!(!folder.path().join("snowgate-manual.1").exists());
        for file in ["snowgate.1", "snowgate.bash", "_snowgate", "snowgate.fish"] {
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains("evidence") && !text.contains("manual"), "{file}");
        }
    }
}
