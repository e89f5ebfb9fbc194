//! `quorate node`: do something to a member of the local cluster that `quorate up` runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::up::DATA_DIR;
use crate::up::control::{self, Action, EVERYBODY, Request};

/// Stop, kill, pause or cut off members of the cluster that `quorate up` runs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  # n2 ends without a chance to say or write anything, and comes back
  quorate node kill n2
  quorate node restart n2

  # n2 is held for a while, as by a long pause of its virtual machine
  quorate node pause n2
  quorate node resume n2

  # The network loses everything that n2 sends to n1, and nothing else
  quorate node cut n2 --to n1
  quorate node heal

  # Every sync of n2's disk takes 300 ms longer; then its disk hangs; then it is well again
  quorate node disk n2 300ms
  quorate node disk n2 hang
  quorate node disk n2 ok

All of it can be combined; `quorate status` tells what is amiss.")]
pub struct NodeArguments {
    #[command(subcommand)]
    command: NodeCommand,
    /// The data directory of the cluster
    #[arg(long, value_name = "DIR", global = true, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

#[derive(Subcommand, Debug)]
enum NodeCommand {
    /// Let it drain and end (SIGTERM)
    Stop(Node),
    /// End it at once (SIGKILL)
    Kill(Node),
    /// Start it again, after stopping it if it runs
    Restart(Node),
    /// Hold it (SIGSTOP)
    Pause(Node),
    /// Let it go on (SIGCONT)
    Resume(Node),
    /// Lose every packet on its links to the other members, without a word to anybody
    Cut(Links),
    /// Let packets through again; without a name, on all links
    Heal(Heal),
    /// Make its disk late, or let it hang, or let it be as it is
    Disk(Disk),
}

#[derive(Args, Debug)]
struct Node {
    /// Its name, such as n2
    name: String,
}

#[derive(Args, Debug)]
struct Links {
    /// Its name, such as n2
    name: String,
    /// Only what it sends to this node
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// Only what it receives from this node
    #[arg(long, value_name = "NODE")]
    from: Option<String>,
}

#[derive(Args, Debug)]
struct Heal {
    /// Its name, such as n2
    name: Option<String>,
    /// Only what it sends to this node
    #[arg(long, value_name = "NODE", requires = "name")]
    to: Option<String>,
    /// Only what it receives from this node
    #[arg(long, value_name = "NODE", requires = "name")]
    from: Option<String>,
}

#[derive(Args, Debug)]
struct Disk {
    /// Its name, such as n2
    name: String,
    /// How much longer every sync takes (300ms), hang, or ok
    #[arg(value_name = "STATE", value_parser = disk_state)]
    state: String,
}

/// As the member reads it.
fn disk_state(text: &str) -> Result<String, String> {
    if text == "hang" || text == "ok" {
        return Ok(text.to_owned());
    }
    let delay = crate::check::duration(text);
    let delay = delay.map_err(|_| "expected a time such as 300ms, hang, or ok".to_owned())?;
    Ok(delay.as_millis().to_string())
}

impl NodeCommand {
    fn request(self) -> Request {
        let plain = |action, node: Node| Request::of(action, &node.name);
        let links =
            |action, Links { name, to, from }| Request { to, from, ..Request::of(action, &name) };
        match self {
            NodeCommand::Stop(node) => plain(Action::Stop, node),
            NodeCommand::Kill(node) => plain(Action::Kill, node),
            NodeCommand::Restart(node) => plain(Action::Restart, node),
            NodeCommand::Pause(node) => plain(Action::Pause, node),
            NodeCommand::Resume(node) => plain(Action::Resume, node),
            NodeCommand::Cut(cut) => links(Action::Cut, cut),
            NodeCommand::Heal(Heal { name, to, from }) => {
                let name = name.unwrap_or_else(|| EVERYBODY.to_owned());
                links(Action::Heal, Links { name, to, from })
            }
            NodeCommand::Disk(Disk { name, state }) => {
                Request { disk: Some(state), ..Request::of(Action::Disk, &name) }
            }
        }
    }
}

/// Asks the supervisor and prints what it did.
pub fn main(arguments: NodeArguments) -> ExitCode {
    let answer = control::ask(&arguments.data_dir, &arguments.command.request());
    match answer {
        Ok(answer) if answer.ok => {
            println!("{}", answer.text);
            ExitCode::SUCCESS
        }
        Ok(control::Answer { text, .. }) | Err(text) => {
            eprintln!("quorate node: {text}");
            ExitCode::FAILURE
        }
    }
}
