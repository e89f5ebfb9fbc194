//! `options`, `completion` and `version`: the commands that ask nobody.

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::{Format, Output};

/// The API that this client speaks.
const API_VERSION: &str = "3.7";

/// Prints a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(quorate completion bash)
  quorate completion zsh > \"${fpath[1]}/_quorate\"
  quorate completion fish | source")]
pub struct Completion {
    /// The shell
    shell: Shell,
}

/// The shells that etcdctl knows.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// Prints a completion script.
pub fn completion(arguments: &Completion, mut command: clap::Command) -> Result<(), Failure> {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout(), &script)?)
}

/// Prints the flags of all commands.
pub fn options(command: clap::Command) -> Result<(), Failure> {
    let mut output = Output::new(Format::Simple, false);
    output.line("The following options can be passed to any command:\n");
    let bare = clap::Command::new("options").disable_help_flag(true).help_template("{options}");
    let shared = command.get_arguments().filter(|argument| argument.is_global_set());
    let mut bare = bare.args(shared.map(|argument| argument.clone().hide(false)));
    output.line(bare.render_help().to_string());
    output.flush()
}

/// Prints versions, in etcdctl's form when called so.
pub fn version(is_etcdctl: bool) -> Result<(), Failure> {
    let mut output = Output::new(Format::Simple, false);
    let own = env!("CARGO_PKG_VERSION");
    if is_etcdctl {
        output.line(format!("etcdctl version: {API_VERSION}.0 (quorate {own})"));
    } else {
        output.line(format!("quorate version: {own}"));
    }
    output.line(format!("API version: {API_VERSION}"));
    output.flush()
}
